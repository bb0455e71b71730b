"""What the fleet says of limits, as the limiter and the routes need it. Pure."""

from shimmy_api.access import RequestLimits
from shimmy_router.fleet import Tenant
from shimmy_router.limits.ledger import Limits
from shimmy_router.limits.policy import Policy
from shimmy_router.xds.ext_proc import Need


def policy_of(tenant: Tenant) -> Policy | None:
    """What the tenant may ask; None where its requests need not be counted."""
    of_tenant = _limits(tenant.limits)
    keys = {key.id: _limits(key.limits) for key in tenant.keys} | {t.name: _limits(t.limits) for t in tenant.tokens}
    of_keys = {key: limits for key, limits in keys.items() if any(bound is not None for bound in limits)}
    if of_keys or any(bound is not None for bound in of_tenant):
        return Policy(of_tenant, of_keys)
    return None


def need_of(tenant: Tenant) -> Need | None:
    """What the tenant's routes want of the agent."""
    policy = policy_of(tenant)
    if policy is None:
        return None
    tracked = any(limits.concurrent is not None for limits in (policy.of_tenant, *policy.of_keys.values()))
    return Need.TRACK if tracked else Need.COUNT


def _limits(limits: RequestLimits) -> Limits:
    return Limits(limits.requests_per_minute, limits.concurrent)
