"""ShimmyModel: a model file that is known, checked and ready to be served."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from shimmy_api.base import ApiModel
from shimmy_api.conditions import Conditions
from shimmy_api.fields import DnsSubdomain, ModelAlias, Quantity, Sha256, cel, list_set, validations

_SOURCE = (
    r"^(pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[^\s]+"
    r"|https?://[^\s/?#@]+/[^\s]+"
    r"|s3://[a-z0-9][-a-z0-9.]{1,61}[a-z0-9]/[^\s?#]+(\?[^\s#]+)?"
    r"|oci://[^\s/?#@]+/[a-z0-9._/-]+(:[A-Za-z0-9_][A-Za-z0-9._-]*|@sha256:[0-9a-f]{64})(\?file=[^\s/&#]+)?"
    r"|hf://[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*(@[A-Za-z0-9][A-Za-z0-9._-]*)?(/[^\s]+)?)$"
)
"""The grammar of shimmy_api/sources.py, as far as the API server can check it."""


_CLAIM = r"pvc://[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[^\s]+"
_REPOSITORY = r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*"
_REVISION = r"[A-Za-z0-9][A-Za-z0-9._-]*"

Quantization = Literal["Q8_0", "Q5_0", "Q4_0", "F16", "F32"]
"""Types of weights that a conversion writes. Both lines of Shimmy compute with each of them."""


def _inside(field: str) -> dict[str, str]:
    """The rule that a path stays within its volume."""
    value = f"self.{field}"
    return cel(
        f"!has({value}) || (!{value}.contains('/../') && !{value}.contains('/./') && !{value}.endsWith('/..'))",
        f"{field} must not contain the path elements . and ..",
    )


class Gguf(ApiModel):
    """A GGUF file, which engines load as it is."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "has(self.sha256) || !(self.source.startsWith('http') || self.source.startsWith('s3://'))",
                "sha256 is required for http://, https:// and s3://",
            ),
            cel(
                "has(self.sha256) || !self.source.startsWith('oci://') || self.source.contains('@sha256:')",
                "sha256 is required for an oci:// artifact that is named by a tag; @sha256:DIGEST needs none",
            ),
            cel(
                "has(self.sha256) || !self.source.startsWith('hf://')"
                " || self.source.matches('^hf://[^/@]+/[^/@]+@[0-9a-f]{40}/')",
                "sha256 is required for an hf:// revision that can move; a commit of 40 digits needs none",
            ),
            cel(
                "!self.source.startsWith('hf://') || self.source.matches('^hf://[^/]+/[^/]+/.*[.]gguf$')",
                "an hf:// source must name a .gguf file: hf://ORG/NAME@REVISION/FILE.gguf",
            ),
            cel(
                "!self.source.startsWith('s3://') || !self.source.matches('[?].*@')",
                "credentials do not belong into the source; name a Secret in credentialsSecretName",
            ),
            cel(
                "!has(self.credentialsSecretName) || !self.source.startsWith('pvc://')",
                "credentialsSecretName is for sources that are fetched over the network",
            ),
            cel(
                # Whoever may write models could otherwise have the engines' token sent to a server of their own.
                "!has(self.credentialsSecretName) || !self.credentialsSecretName.startsWith('shimmy-')",
                "credentialsSecretName must not name a Secret of the operator's own: shimmy-…",
            ),
            cel(
                "!self.source.contains('/../') && !self.source.contains('/./') && !self.source.endsWith('/..')",
                "source must not contain the path elements . and ..",
            ),
            _inside("loraSource"),
            cel("!has(self.loraSha256) || has(self.loraSource)", "loraSha256 needs a loraSource"),
        )
    )

    source: Annotated[str, Field(max_length=2048, pattern=_SOURCE)]
    """Where the file is. `pvc://CLAIM/PATH` names a file on a PersistentVolumeClaim of this namespace, which is
    mounted read-only. The others are fetched once onto a volume of the model's own: `https://…` and `http://…`;
    `s3://BUCKET/KEY?endpoint=URL&region=NAME`, where the options are for stores that the operator's settings do not
    name; `oci://REGISTRY/REPOSITORY@sha256:DIGEST` or `…:TAG`, with `?file=NAME` where the artifact holds several
    models; `hf://ORG/NAME@REVISION/FILE.gguf`.

    Credentials do not belong into the URL.
    """
    sha256: Sha256 | None = None
    """Digest that the file must have, 64 lower-case hexadecimal digits. Required unless the file is on a volume or the
    source itself names the content: an artifact's digest, a commit."""
    credentials_secret_name: DnsSubdomain | None = None
    """Secret in this namespace that only the fetch Job mounts. Its entries, as the source needs them: `token`;
    `username` and `password`; `access-key-id`, `secret-access-key` and `session-token`; `config.json` or
    `.dockerconfigjson`."""

    lora_source: Annotated[str | None, Field(max_length=2048, pattern=rf"^{_CLAIM}[.]gguf$")] = None
    """A GGUF LoRA adapter that is added to the model at run time: `pvc://CLAIM/PATH.gguf`. Engines of flavor llama do
    that. `shimmy-engine convert-lora` makes such a file of a PEFT adapter."""
    lora_sha256: Sha256 | None = None
    """Digest that the adapter's file must have."""


class HuggingFace(ApiModel):
    """A model as Hugging Face's libraries save it: config.json, tokenizer.json, safetensors.

    A Job converts it to a GGUF file on a volume of the model's own, once per content of this object.
    """

    model_config = ConfigDict(
        json_schema_extra=validations(
            _inside("baseModel"),
            _inside("peftSource"),
            cel(
                "!has(self.revision) || !self.baseModel.startsWith('pvc://')",
                "revision is for a repository, not for a folder on a volume",
            ),
            cel(
                "!has(self.credentialsSecretName) || !self.baseModel.startsWith('pvc://')"
                " || (has(self.peftSource) && !self.peftSource.startsWith('pvc://'))",
                "credentialsSecretName is for repositories, not for folders on volumes",
            ),
            cel(
                "!has(self.credentialsSecretName) || !self.credentialsSecretName.startsWith('shimmy-')",
                "credentialsSecretName must not name a Secret of the operator's own: shimmy-…",
            ),
        )
    )

    base_model: Annotated[str, Field(max_length=2048, pattern=rf"^({_CLAIM}|{_REPOSITORY})$")]
    """`ORG/NAME` on Hugging Face or a mirror of it, or a folder on a volume of this namespace: `pvc://CLAIM/FOLDER`."""
    revision: Annotated[str | None, Field(max_length=256, pattern=rf"^{_REVISION}$")] = None
    """Branch, tag or commit of the repository; `main` if absent. Only a commit always means the same weights."""
    peft_source: Annotated[
        str | None, Field(max_length=2048, pattern=rf"^({_CLAIM}|{_REPOSITORY}(@{_REVISION})?)$")
    ] = None
    """A PEFT LoRA adapter to merge into the weights: `pvc://CLAIM/FOLDER`, or `ORG/NAME[@REVISION]`."""
    quantization: Quantization = "Q8_0"
    """Type of most weights of the file that is made."""
    credentials_secret_name: DnsSubdomain | None = None
    """Secret in this namespace with an entry `token` for the repositories; only the Job mounts it."""


class Candle(ApiModel):
    """Safetensors on a volume: a folder, or one file with its config.json and tokenizer.json beside it.

    A Job converts them to a GGUF file on a volume of the model's own, once per content of this object.
    """

    model_config = ConfigDict(json_schema_extra=validations(_inside("source"), _inside("adapterSource")))

    source: Annotated[str, Field(max_length=2048, pattern=rf"^{_CLAIM}$")]
    """`pvc://CLAIM/FOLDER` or `pvc://CLAIM/FILE.safetensors`."""
    adapter_source: Annotated[str | None, Field(max_length=2048, pattern=rf"^{_CLAIM}$")] = None
    """Folder of a PEFT LoRA adapter to merge into the weights: `pvc://CLAIM/FOLDER`."""
    quantization: Quantization = "Q8_0"
    """Type of most weights of the file that is made."""


class Backend(ApiModel):
    """What the model is made of. Exactly one member is set."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel(
                "[has(self.gguf), has(self.huggingFace), has(self.candle)].filter(set, set).size() == 1",
                "exactly one of gguf, huggingFace and candle must be set",
            )
        )
    )

    gguf: Gguf | None = None
    hugging_face: HuggingFace | None = None
    candle: Candle | None = None


class ModelStorage(ApiModel):
    """The volume for a model that is fetched."""

    size: Quantity = "10Gi"
    """Space to request; more than the file's size. A repository lies there, too, while it is converted."""
    storage_class_name: DnsSubdomain | None = None
    """StorageClass; the cluster's default if absent."""


class Sharing(ApiModel):
    """Other tenants that may ask for a model. Its owner's pods answer them, and their own budgets pay."""

    model_config = ConfigDict(
        json_schema_extra=validations(
            cel("!(self.allTenants && size(self.tenants) > 0)", "tenants is of no use where allTenants is true")
        )
    )

    all_tenants: bool = False
    """Whether every tenant may."""
    tenants: Annotated[tuple[DnsSubdomain, ...], Field(max_length=256, json_schema_extra=list_set())] = ()
    """Names of tenants that may."""


class ShimmyModelSpec(ApiModel):
    """A model as its tenant describes it."""

    backend: Backend
    """Where the model's weights come from."""
    context_length: Annotated[int | None, Field(ge=64, le=4_194_304)] = None
    """Tokens of prompt and answer together; what the file says if absent."""
    aliases: Annotated[tuple[ModelAlias, ...], Field(max_length=16, json_schema_extra=list_set())] = ()
    """Other names under which clients may ask for the model. When two models claim one alias, the older one has it."""
    personal: bool = False
    """Whether the model is somebody's own, such as one with an adapter that was trained on their texts."""
    shared_with: Sharing = Sharing()
    """Other tenants that may ask for the model, under its name and aliases. A model of their own that has the same name
    comes first."""
    storage: ModelStorage = ModelStorage()
    """Volume for a model that is fetched over the network or converted."""


class LoraArtifact(ApiModel):
    """The checked file of an adapter."""

    claim_name: str
    """PersistentVolumeClaim that holds the file."""
    path: str
    """Path of the file on that volume."""
    sha256: Sha256
    rank: Annotated[int, Field(ge=1)]
    """Largest rank of its matrices."""


class Artifact(ApiModel):
    """The checked file."""

    spec_digest: str
    """Digest of the parts of the spec that this file was checked for."""
    claim_name: str
    """PersistentVolumeClaim that holds the file."""
    path: str
    """Path of the file on that volume."""
    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=0)]
    architecture: str
    """GGUF's general.architecture, such as llama."""
    quantization: str
    """Type of most of the weights, such as Q4_1."""
    context_length: Annotated[int, Field(ge=0)]
    """Tokens that the model was trained for, as the file says."""
    parameters: Annotated[int, Field(ge=0)]
    """Number of weights."""
    lora: LoraArtifact | None = None
    """Adapter that engines add to the model."""


class SharingStatus(ApiModel):
    """Who may ask for the model beside its owner."""

    all_tenants: bool = False
    """Whether every tenant may."""
    tenants: tuple[str, ...] = ()
    """Named tenants that may. One that has a model of this name itself gets that one."""
    unknown: tuple[str, ...] = ()
    """Named tenants that do not exist."""


class ShimmyModelStatus(ApiModel):
    """What the operator knows about the model."""

    observed_generation: int | None = None
    artifact: Artifact | None = None
    sharing: SharingStatus | None = None
    """Absent where the model is its owner's alone."""
    conditions: Conditions = ()
