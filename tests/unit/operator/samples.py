"""Specs and settings that many tests render from."""

from ipaddress import ip_address, ip_network
from typing import Final

from shimmy_api.instance import ShimmyInstanceSpec
from shimmy_api.model import Artifact, LoraArtifact, ShimmyModelSpec
from shimmy_operator.render.context import AllowedEgress, Context, FetchNetwork
from shimmy_operator.render.deployment import ServedModel
from shimmy_operator.render.location import spec_digest
from shimmy_operator.render.metadata import Owner

CONTEXT: Final = Context(
    router_namespace="shimmy-system",
    endpoint="http://shimmy-router.shimmy-system.svc:8080/v1",
    llama_image="shimmy-engine-llama:0.1.0",
    airframe_image="shimmy-engine-airframe:0.1.0",
    router_image="shimmy-router:0.1.0",
    router_meter="https://shimmy-meter-replicas.shimmy-system.svc:6443",
    fetch_egress=(AllowedEgress(ip_network("10.0.0.0/8"), (443,)),),
    api_server_addresses=(ip_address("10.96.0.1"), ip_address("192.0.2.1")),
)
NETWORK: Final = FetchNetwork(
    https_proxy="http://192.0.2.7:3128",
    no_proxy="registry.example",
    ca_bundle="-----BEGIN CERTIFICATE-----\n",
    hub_endpoint="https://hub.example",
    s3_endpoint="https://minio.example:9000",
    s3_region="eu-west-7",
)
OWNER: Final = Owner("ShimmyInstance", "chat", "uid-1")
VOLUME_MODEL: Final = ShimmyModelSpec.model_validate({"backend": {"gguf": {"source": "pvc://models/llm/tiny.gguf"}}})
HTTP_MODEL: Final = ShimmyModelSpec.model_validate(
    {
        "backend": {"gguf": {"source": "https://example.org/tiny.gguf", "sha256": "b" * 64}},
        "storage": {"size": "20Gi", "storageClassName": "fast"},
        "contextLength": 4096,
    }
)
S3_MODEL: Final = ShimmyModelSpec.model_validate(
    {
        "backend": {
            "gguf": {"source": "s3://models/tiny.gguf", "sha256": "b" * 64, "credentialsSecretName": "store"},
        }
    }
)
FOLDER_MODEL: Final = ShimmyModelSpec.model_validate(
    {"backend": {"huggingFace": {"baseModel": "pvc://models/llm/tiny", "peftSource": "pvc://adapters/acme"}}}
)
HUB_MODEL: Final = ShimmyModelSpec.model_validate(
    {
        "backend": {
            "huggingFace": {
                "baseModel": "acme/tiny",
                "revision": "v1",
                "peftSource": "acme/tiny-lora",
                "quantization": "Q4_0",
                "credentialsSecretName": "hub",
            }
        }
    }
)
CANDLE_MODEL: Final = ShimmyModelSpec.model_validate(
    {"backend": {"candle": {"source": "pvc://models/tiny.safetensors", "adapterSource": "pvc://models/adapter"}}}
)
LORA_MODEL: Final = ShimmyModelSpec.model_validate(
    {
        "backend": {
            "gguf": {
                "source": "pvc://models/llm/tiny.gguf",
                "loraSource": "pvc://adapters/acme.gguf",
                "loraSha256": "c" * 64,
            }
        }
    }
)
FETCHED_LORA_MODEL: Final = ShimmyModelSpec.model_validate(
    {
        "backend": {
            "gguf": {
                "source": "https://example.org/tiny.gguf",
                "sha256": "b" * 64,
                "loraSource": "pvc://adapters/acme.gguf",
            }
        }
    }
)
SMALL: Final = ShimmyInstanceSpec.model_validate({"models": ["tiny"]})
GPU: Final = ShimmyInstanceSpec.model_validate(
    {
        "models": ["tiny"],
        "replicas": 3,
        "engine": {"flavor": "airframe", "resources": {"cpu": "4", "memory": "8Gi"}},
        "gpu": {"count": 2, "supplementalGroups": [993, 44]},
        "scheduling": {
            "nodeSelector": {"gpu": "a100"},
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "runtimeClassName": "nvidia",
        },
        "routing": {"queueDepth": 4},
        "rollout": {"drainSeconds": 30},
    }
)

SHARED: Final = ShimmyInstanceSpec.model_validate(
    {"models": ["tiny", "big", "other"], "placement": "Shared", "replicas": 2, "routing": {"timeoutSeconds": 90}}
)
CUDA: Final = ShimmyInstanceSpec.model_validate({"models": ["tiny"], "gpu": {}})


def artifact(
    spec: ShimmyModelSpec, claim: str = "models", path: str = "llm/tiny.gguf", size: int = 92_000_000
) -> Artifact:
    return Artifact(
        spec_digest=spec_digest(spec),
        claim_name=claim,
        path=path,
        sha256="a" * 64,
        size_bytes=size,
        architecture="llama",
        quantization="Q4_1",
        context_length=2048,
        parameters=134_515_008,
    )


def served(spec: ShimmyModelSpec = VOLUME_MODEL) -> ServedModel:
    return ServedModel("tiny", spec, artifact(spec))


def served_with_adapter(claim: str = "adapters") -> ServedModel:
    lora = LoraArtifact(claim_name=claim, path="acme.gguf", sha256="c" * 64, rank=8)
    return ServedModel("tiny", LORA_MODEL, artifact(LORA_MODEL).model_copy(update={"lora": lora}))


POOL: Final = (
    served_with_adapter(),
    ServedModel("big", HTTP_MODEL, artifact(HTTP_MODEL, "shimmy-model-big", "big.gguf", 9_000_000_000)),
    ServedModel("other", VOLUME_MODEL, artifact(VOLUME_MODEL, path="llm/other.gguf")),
)
"""Three models and an adapter on three claims."""
