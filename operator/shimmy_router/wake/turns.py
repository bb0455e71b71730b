"""Those who wait for one thing, and whose turn it is. Pure."""

from collections import OrderedDict
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """Waiting items of several tenants: each tenant's in their order, and one tenant after the other."""

    def __init__(self) -> None:
        self._tenants: OrderedDict[str, dict[Item, None]] = OrderedDict()
        """The tenant whose turn it is comes first."""

    def add(self, tenant: str, item: Item) -> None:
        """It waits from now on, as the tenant's last."""
        self._tenants.setdefault(tenant, {})[item] = None

    def remove(self, tenant: str, item: Item) -> None:
        """It does not wait any more."""
        waiting = self._tenants.get(tenant, {})
        waiting.pop(item, None)
        if not waiting:
            self._tenants.pop(tenant, None)

    def take(self) -> Item:
        """The next one.

        Raises:
            KeyError: nothing waits.
        """
        tenant, waiting = next(iter(self._tenants.items()), ("", {}))
        item = next(iter(waiting), None)
        if item is None:
            raise KeyError("nothing waits")
        self.remove(tenant, item)
        if waiting:
            self._tenants.move_to_end(tenant)
        return item

    def __len__(self) -> int:
        return sum(map(len, self._tenants.values()))
