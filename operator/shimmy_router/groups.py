"""Sets by name, of which none is kept that is empty."""

from collections import defaultdict


def discard(groups: defaultdict[str, set[str]], group: str, member: str) -> None:
    """Take a member out of its group."""
    groups[group].discard(member)
    if not groups[group]:
        del groups[group]
