"""Reconciles a ShimmyModel."""

from shimmy_api import names
from shimmy_api.model import Artifact, ShimmyModelSpec, ShimmyModelStatus
from shimmy_api.tenant import ShimmyTenantSpec
from shimmy_operator.cluster.resources import Manifest
from shimmy_operator.reconcile.children import ensure, is_going, is_owned, prune
from shimmy_operator.reconcile.consistency import model_conflicts, unknown_tenants
from shimmy_operator.reconcile.environment import Environment
from shimmy_operator.reconcile.outcome import Outcome
from shimmy_operator.render.fetch_access import closed_port
from shimmy_operator.render.job import render_job
from shimmy_operator.render.location import Location, locate, spec_digest
from shimmy_operator.render.metadata import Owner
from shimmy_operator.render.network_policies import allowed_egress
from shimmy_operator.render.volume import render_volume
from shimmy_operator.status import model as status
from shimmy_operator.status.check import Refusal, read_result
from shimmy_operator.status.conditions import Verdict
from shimmy_operator.status.namespace import no_tenant


async def reconcile_model(environment: Environment, manifest: Manifest) -> Outcome[ShimmyModelStatus]:
    """Have a Job fetch, convert or check the file, once per content of the spec, and take over what it found."""
    before = ShimmyModelStatus.model_validate(manifest.get("status") or {})
    spec = ShimmyModelSpec.model_validate(manifest["spec"])
    verdict, artifact = await _examine(environment, manifest, spec, before)
    sharing = status.sharing_status(spec.shared_with, unknown_tenants(environment, spec.shared_with))
    conflicts = model_conflicts(environment, manifest, spec)
    generation = manifest["metadata"]["generation"]
    after = status.model_status(verdict, artifact, sharing, conflicts, before, generation, environment.now)
    return Outcome(before, after, status.PROGRESS)


async def _examine(
    environment: Environment, manifest: Manifest, spec: ShimmyModelSpec, before: ShimmyModelStatus
) -> tuple[Verdict, Artifact | None]:
    name, namespace, uid = (manifest["metadata"][key] for key in ("name", "namespace", "uid"))
    tenant = environment.tenant_of(namespace)
    if tenant is None:
        return no_tenant(namespace), before.artifact
    try:
        location = locate(name, spec)
    except ValueError as error:
        return Verdict(False, "SourceInvalid", str(error)), None
    digest = spec_digest(spec)
    job_name = names.fetch_job(name, digest)
    await prune(environment, "Job", namespace, uid, {job_name})
    known = before.artifact if before.artifact and before.artifact.spec_digest == digest else None
    claim = environment.store.get("PersistentVolumeClaim", namespace, location.claim_name)
    if claim is None:
        known = None  # a new volume is empty, or holds another file
    if known is not None:
        return status.usable(known), known
    missing = _missing_claim(environment, namespace, location)
    if missing is not None:
        await prune(environment, "Job", namespace, uid, ())
        return status.claim_not_found(missing), None
    volume = render_volume(tenant, namespace, name, spec)
    if volume is not None:
        await ensure(environment, volume)
    owner = Owner("ShimmyModel", name, uid)
    job = environment.store.get("Job", namespace, job_name)
    if job is None or not is_owned(job, uid):
        job = await ensure(environment, render_job(tenant, namespace, owner, spec, environment.context))
    return _judge(environment, job, location, digest, _closed_port(environment, tenant, location))


def _missing_claim(environment: Environment, namespace: str, location: Location) -> str | None:
    """A claim of the tenant's that the Job would wait for."""
    for name in location.claims:
        claim = environment.store.get("PersistentVolumeClaim", namespace, name)
        if claim is None or is_going(claim):
            return name
    return None


def _closed_port(environment: Environment, tenant: str, location: Location) -> int | None:
    """A port that one of the model's sources needs and nobody has opened."""
    manifest = environment.store.get("ShimmyTenant", None, tenant)
    if manifest is None:
        return None
    context = environment.context
    allowed = allowed_egress(ShimmyTenantSpec.model_validate(manifest["spec"]).fetch, context)
    open_ports = {port for block in allowed for port in block.ports}
    closed = (closed_port(source, context, open_ports) for source in location.remote)
    return next((port for port in closed if port is not None), None)


def _judge(
    environment: Environment, job: Manifest, location: Location, digest: str, closed: int | None
) -> tuple[Verdict, Artifact | None]:
    pods = [
        pod
        for pod in environment.store.within("Pod", job["metadata"]["namespace"])
        if is_owned(pod, job["metadata"]["uid"])
    ]
    match read_result(job, pods, location, digest):
        case Artifact() as artifact:
            return status.usable(artifact), artifact
        case Refusal() as refusal:
            return status.refused(refusal, job["metadata"]["name"], closed), None
        case running:
            return status.at_work(running, location, closed), None
