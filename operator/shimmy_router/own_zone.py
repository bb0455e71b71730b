"""Where this router is: the EndpointSlices of the routers' own Service say it, so that nobody has to read nodes."""

from collections.abc import Callable, Mapping

from shimmy_router.records import ObjectKey, PeersRecord, Record


class OwnZone:
    """Follows the records; tells `located` of this router's zone whenever it differs, empty where it is not known."""

    def __init__(self, router: str, located: Callable[[str], None]) -> None:
        """`router` is the name of its pod."""
        self._router = router
        self._located = located
        self._slices: dict[ObjectKey, Mapping[str, str]] = {}
        self._zone = ""

    def take(self, key: ObjectKey, old: Record | None, new: Record | None) -> None:
        """Take a record, if it says where routers are."""
        if not isinstance(old or new, PeersRecord):
            return
        if isinstance(old, PeersRecord):
            del self._slices[key]
        if isinstance(new, PeersRecord):
            self._slices[key] = new.zones
        zone = next((zones[self._router] for zones in self._slices.values() if self._router in zones), "")
        if zone != self._zone:
            self._zone = zone
            self._located(zone)
