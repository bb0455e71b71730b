"""Every name that two components must agree on: group, labels, annotations, object names, ports.

Object names that are put together from user-given names stay within Kubernetes' limit of 63 characters for DNS
labels (RFC 1123) by replacing their tail with a digest, so that the same input always gives the same name.
"""

import hashlib
from typing import Final

GROUP: Final = "shimmy.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

FIELD_MANAGER: Final = "shimmy-operator"
"""Server-side apply field manager of everything that the operator writes."""
SCALER: Final = "shimmy-scaler"
"""Field manager of spec.replicas of Deployments whose number load decides: docs/adr/0012-who-sets-replicas.md."""

PART_OF: Final = "shimmy"
ENGINE: Final = "engine"
FETCH: Final = "fetch"
DISCOVERY: Final = "discovery"
ROUTER: Final = "router"
METER: Final = "shimmy-meter"
"""The metrics server: its Deployment, its Service, its ServiceAccount, and a name that its certificate is for."""
METER_COMPONENT: Final = "meter"

LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_PART_OF: Final = "app.kubernetes.io/part-of"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"

LABEL_TENANT: Final = f"{GROUP}/tenant"
"""On a tenant's Namespace and on everything made for it; a Namespace belongs to the tenant that it names."""
LABEL_MODEL: Final = f"{GROUP}/model"
LABEL_INSTANCE_OF: Final = f"{GROUP}/instance"
LABEL_PLACEMENT: Final = f"{GROUP}/placement"
"""On the pods that all models of an instance share, value "shared"."""
LABEL_KEYS: Final = f"{GROUP}/keys"
"""On the Secrets in the router's namespace that mirror a tenant's keys; the value is the tenant's name."""
LABEL_ROUTER: Final = f"{GROUP}/router"
"""On the router's pods, value "true": what the engines' NetworkPolicy lets in."""
LABEL_DISCOVERED_BY: Final = f"{GROUP}/discovered-by"
"""On ShimmyModels that discovery made, the name of the source; removing it makes the model the user's own."""
LABEL_DISCOVERY_SOURCE: Final = f"{GROUP}/discovery-source"
"""On the Jobs and pods that look through a source of discovery, its name."""

FETCH_AUTHORITIES: Final = "shimmy-fetch-authorities"
"""ConfigMap in a tenant's namespace that holds under data["ca.crt"] what its fetch Jobs trust beside the usual ones."""

FETCH_REFUSED: Final = 1
"""Exit code of a fetch or check that found the file wrong: trying again finds the same."""
FETCH_UNREACHABLE: Final = 75
"""Exit code of a fetch whose source did not answer: EX_TEMPFAIL of sysexits.h, worth another try."""

ANNOTATION_SPEC_DIGEST: Final = f"{GROUP}/spec-digest"
ANNOTATION_RENDERED: Final = f"{GROUP}/rendered"
"""On every child object: digest of what the operator rendered for it."""
ANNOTATION_MODEL_SHA256: Final = f"{GROUP}/model-sha256"
"""On engine pods: digest of the file that they serve, so that another file means other pods."""
ANNOTATION_CATALOGUE: Final = f"{GROUP}/catalogue"
"""On engine pods that several models share: those models, as shimmy_engine/catalogue.py reads them."""
ANNOTATION_CATALOGUE_SHA256: Final = f"{GROUP}/catalogue-sha256"
"""On the same pods: digest of the models' files, so that other content means other pods."""

ANNOTATION_LORA_SHA256: Final = f"{GROUP}/lora-sha256"
"""On engine pods: digest of the adapter that they add to the model."""

METRIC_LOAD: Final = "shimmy_model_load"
"""External metric by which autoscalers scale: what the pods of a Deployment have to do."""
METRIC_DEPLOYMENT: Final = "deployment"
"""Label of it: metadata.name of the Deployment."""

ANNOTATION_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
"""On engine pods: how many requests would be lost with the pod. Kubernetes deletes those of least cost first."""

ENGINE_PORT: Final = 8080
"""HTTP/1.1 and h2c port of the runner: the API, probes, metrics and the usage journal."""
ENGINE_PORT_NAME: Final = "http"
ROUTER_METRICS_SERVICE: Final = "shimmy-router-metrics"
"""Service of the routers' agents, by which they find one another."""
METRICS_PORT_NAME: Final = "metrics"
ENGINE_ADMIN_PORT: Final = 8081
"""HTTP port of a runner that can change its model: which one it serves, and the order to change it."""
ENGINE_ADMIN_PORT_NAME: Final = "admin"

SECRET_TYPE_KEY: Final = f"{GROUP}/api-key"
"""Type of a Secret that holds one API key under data.key."""
SECRET_TYPE_KEYS: Final = f"{GROUP}/tenant-keys"
"""Type of the mirrored Secret: data.engineToken, one data entry `key.<name>` per key of the tenant that is accepted,
and one `jwks.<name>` per entry of spec.tokens with an issuer whose public keys are known: a JSON Web Key Set."""
MIRRORED_TENANT_ENTRY: Final = "tenant.json"
"""Data entry of the same Secret where it lies in the tenant's namespace, for a router of the tenant's own: the
ShimmyTenant, for which no namespaced right exists."""
MIRRORED_METER_ENTRY: Final = "meter-ca.crt"
"""Data entry of the same Secret there: the authorities of the metrics server's certificate, PEM."""
TENANT_ROUTER: Final = "shimmyrouter"
"""Everything of a tenant's own router in its namespace. Without a hyphen, unlike every name of an engine's objects."""
TENANT_ROUTER_ROLE: Final = "shimmy-tenant-router"
"""ClusterRole that the installation brings: what such a router may read and tell, bound in the tenant's namespace
alone."""
ROUTER_ACCOUNT: Final = "shimmy-router"
"""ServiceAccount of the shared router, in the router's namespace."""
ROUTER_SCALE: Final = "shimmy-router-scale"
"""ClusterRole that the installation brings, and RoleBinding in a tenant's namespace: lets its router wake models."""
JWKS: Final = "shimmy-jwks"
"""ConfigMap in the router's namespace with one data entry per issuer of tokens: a JSON Web Key Set (RFC 7517)."""
ENGINE_TOKEN_SECRET: Final = "shimmy-engine-token"  # noqa: S105 - the name of a Secret, not a secret
"""Secret in a tenant's namespace that holds under data.token what the router shows to the tenant's engines."""

DISCOVERY_ACCESS: Final = "shimmy-discovery"
"""What lets discovery Jobs hand over what they found: a ClusterRole that the installation brings, and in the tenant's
namespace a ServiceAccount, a RoleBinding, a NetworkPolicy and the ConfigMap with one binaryData entry per source."""

KEY_PREFIX: Final = "sk-shimmy"
"""An API key is `sk-shimmy-<id>-<secret>`: the id (8 characters of [a-z0-9]) may be logged, the secret never."""
KEY_PATTERN: Final = rf"{KEY_PREFIX}-[a-z0-9]{{8}}-[A-Za-z0-9_]{{32,64}}"

MAX_LABEL: Final = 63
MAX_NAME: Final = 253
_DIGEST_LENGTH: Final = 8
_MAX_CRON_JOB: Final = 52
"""Source: https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ (the name of a CronJob)"""


def bounded(*parts: str, limit: int = MAX_LABEL) -> str:
    """Join name parts with "-" into a DNS label of at most `limit` characters.

    A longer result keeps its head and ends in a digest of the whole, so that two long inputs do not collide; so does
    one with dots, which a subdomain may have and a label may not.
    """
    whole = "-".join(parts)
    name = whole.replace(".", "-")
    if name == whole and len(name) <= limit:
        return name
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{name[: limit - _DIGEST_LENGTH - 1].rstrip('-')}-{digest}"


def tenant_namespace(tenant: str) -> str:
    """Default namespace of a tenant."""
    return bounded("shimmy", tenant)


def key_secret(key: str) -> str:
    """Secret in the tenant's namespace that holds the API key of this name under data.key."""
    return bounded("shimmy-key", key)


def mirrored_keys_secret(tenant: str) -> str:
    """Secret in the router's namespace that holds all keys of a tenant."""
    return bounded("shimmy-keys", tenant)


def serving(instance: str, model: str) -> str:
    """Deployment and headless Service of one model of one instance."""
    first = ("shimmy", instance) if instance[0].isdigit() else (instance,)  # a Service's name starts with a letter
    return bounded(*first, model, limit=52)  # leaves room for the pod-template and pod suffixes


def slots(instance: str) -> str:
    """Deployment of the pods that all models of an instance share.

    Two hyphens: no model's name begins with one, so that no `serving` has this name.
    """
    return bounded(instance, "", "slots", limit=52)


def model_volume(model: str) -> str:
    """PersistentVolumeClaim that holds a fetched model's file."""
    return bounded("shimmy-model", model)


def fetch_job(model: str, spec_digest: str) -> str:
    """Job that fetches or checks the file of a model, one per content of its spec."""
    return bounded("shimmy-fetch", model, spec_digest[:_DIGEST_LENGTH], limit=52)


def discovery_schedule(source: str) -> str:
    """CronJob that looks through a source of discovery."""
    return bounded("shimmy-discover", source, limit=_MAX_CRON_JOB)


def discovery_job(source: str, revision: str) -> str:
    """Job that looks through a source of discovery at once, one per content of its spec."""
    return bounded("shimmy-discover", source, revision[:_DIGEST_LENGTH], limit=_MAX_CRON_JOB)


def selector_labels(instance: str, model: str) -> dict[str, str]:
    """Labels that select the engine pods of one model of one instance. They never change: selectors are immutable."""
    return {
        LABEL_PART_OF: PART_OF,
        LABEL_COMPONENT: ENGINE,
        LABEL_INSTANCE_OF: bounded(instance),
        LABEL_MODEL: bounded(model),
    }


def slot_labels(instance: str) -> dict[str, str]:
    """Labels that select the pods that all models of an instance share, and no pods of one model."""
    return {
        LABEL_PART_OF: PART_OF,
        LABEL_COMPONENT: ENGINE,
        LABEL_INSTANCE_OF: bounded(instance),
        LABEL_PLACEMENT: "shared",
    }
