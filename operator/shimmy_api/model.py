"""ShimmyModel: a model file that is known, checked and ready to be served."""

from typing import Annotated

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


class Backend(ApiModel):
    """What the model is made of. Exactly one member is set."""

    gguf: Gguf


class ModelStorage(ApiModel):
    """The volume for a model that is fetched."""

    size: Quantity = "10Gi"
    """Space to request; more than the file's size."""
    storage_class_name: DnsSubdomain | None = None
    """StorageClass; the cluster's default if absent."""


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
    storage: ModelStorage = ModelStorage()
    """Volume for a model that is fetched over the network."""


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


class ShimmyModelStatus(ApiModel):
    """What the operator knows about the model."""

    observed_generation: int | None = None
    artifact: Artifact | None = None
    conditions: Conditions = ()
