"""Which device an engine computes on, by what it prints at its start. Pure."""

import re
from dataclasses import dataclass
from typing import Final, Literal

_AIRFRAME: Final = re.compile(rb"\[GpuRuntime\] Selected adapter: (.+?) \((\w+),")
"""Airframe 0.4.4, src/runtime/gpu.rs: the adapter's name, then wgpu's DeviceType."""
_LLAMA_CPP: Final = re.compile(rb"using device \S+ \((.+?)\)")
"""llama.cpp, src/llama.cpp (`llama_model_load_from_file_impl`): one line for each GPU that takes layers."""


@dataclass(frozen=True, slots=True)
class Device:
    """A processor that computes a model."""

    name: str
    kind: Literal["cpu", "gpu"]


CPU: Final = Device("CPU", "cpu")
"""What llama.cpp computes on when it names no other device."""


def device_in(line: bytes) -> Device | None:
    """The device that a line of output names, if it does."""
    if found := _AIRFRAME.search(line):
        return Device(found[1].decode(errors="replace"), "cpu" if found[2] == b"Cpu" else "gpu")
    if found := _LLAMA_CPP.search(line):
        return Device(found[1].decode(errors="replace"), "gpu")
    return None
