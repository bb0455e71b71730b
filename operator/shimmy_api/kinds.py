"""The three kinds of objects, as their CustomResourceDefinitions describe them."""

from dataclasses import dataclass, field
from typing import Final, Literal

from shimmy_api.base import ApiModel
from shimmy_api.instance import ShimmyInstanceSpec, ShimmyInstanceStatus
from shimmy_api.model import ShimmyModelSpec, ShimmyModelStatus
from shimmy_api.tenant import ShimmyTenantSpec, ShimmyTenantStatus


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; priority 1 is shown with -o wide only."""

    name: str
    type: Literal["string", "integer", "date"]
    json_path: str
    priority: int = 0


def _ready(*columns: Column) -> tuple[Column, ...]:
    return (
        *columns,
        Column("Ready", "string", '.status.conditions[?(@.type=="Ready")].status'),
        Column("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason'),
        Column("Age", "date", ".metadata.creationTimestamp"),
        Column("Consistent", "string", '.status.conditions[?(@.type=="Consistent")].reason', priority=1),
        Column("Message", "string", '.status.conditions[?(@.type=="Ready")].message', priority=1),
    )


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object."""

    kind: str
    plural: str
    short_name: str
    scope: Literal["Cluster", "Namespaced"]
    spec: type[ApiModel]
    status: type[ApiModel]
    description: str
    columns: tuple[Column, ...] = field(default=())
    scalable: bool = False

    @property
    def singular(self) -> str:
        """Lower-case name."""
        return self.kind.lower()


TENANT: Final = Kind(
    kind="ShimmyTenant",
    plural="shimmytenants",
    short_name="sht",
    scope="Cluster",
    spec=ShimmyTenantSpec,
    status=ShimmyTenantStatus,
    description="One team: a namespace with quota, walls and API keys.",
    columns=_ready(Column("Namespace", "string", ".status.namespace")),
)
MODEL: Final = Kind(
    kind="ShimmyModel",
    plural="shimmymodels",
    short_name="shm",
    scope="Namespaced",
    spec=ShimmyModelSpec,
    status=ShimmyModelStatus,
    description="A model file that is known, checked and ready to be served.",
    columns=_ready(
        Column("Architecture", "string", ".status.artifact.architecture"),
        Column("Quantization", "string", ".status.artifact.quantization"),
        Column("Bytes", "integer", ".status.artifact.sizeBytes"),
    ),
)
INSTANCE: Final = Kind(
    kind="ShimmyInstance",
    plural="shimmyinstances",
    short_name="shi",
    scope="Namespaced",
    spec=ShimmyInstanceSpec,
    status=ShimmyInstanceStatus,
    description="A pool of engine pods that serves models.",
    columns=_ready(
        Column("Models", "string", ".spec.models"),
        Column("Wanted", "integer", ".status.replicas"),
        Column("Pods", "integer", ".status.readyReplicas"),
        Column("Endpoint", "string", ".status.endpoint", priority=1),
    ),
    scalable=True,
)
KINDS: Final = (TENANT, MODEL, INSTANCE)
