"""What a tenant may ask."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shimmy_router.limits.ledger import NO_LIMITS, Ask, Limits


@dataclass(frozen=True, slots=True)
class Policy:
    """The bounds of requests."""

    of_tenant: Limits = NO_LIMITS
    of_keys: Mapping[str, Limits] = field(default_factory=dict)
    """By the key's public id; of keys that have bounds of their own."""

    def ask(self, tenant: str, key_id: str) -> Ask:
        """What has to be asked for a request with this key."""
        of_key = self.of_keys.get(key_id)
        return Ask(tenant, key_id if of_key else "", self.of_tenant, of_key or NO_LIMITS)
