import pytest

from shimmy_engine.device import Device, device_in


@pytest.mark.parametrize(
    ("line", "device"),
    [
        (
            b"[GpuRuntime] Selected adapter: llvmpipe (LLVM 19.1.7, 256 bits) (Cpu, Vulkan)",
            Device("llvmpipe (LLVM 19.1.7, 256 bits)", "cpu"),
        ),
        (b"[GpuRuntime] Selected adapter: NVIDIA H100 (DiscreteGpu, Vulkan)", Device("NVIDIA H100", "gpu")),
        (b"[GpuRuntime] Selected adapter: fake (Cpu, Vulkan)", Device("fake", "cpu")),
        (
            b"llama_model_load_from_file_impl: using device CUDA0 (NVIDIA H100 80GB HBM3) - 80000 MiB free",
            Device("NVIDIA H100 80GB HBM3", "gpu"),
        ),
        (b"llama_model_loader: loaded meta data", None),
    ],
)
def test_a_line_of_output_may_name_the_device(line: bytes, device: Device | None) -> None:
    assert device_in(line) == device
