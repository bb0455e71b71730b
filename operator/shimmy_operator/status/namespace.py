"""Where models and instances may live."""

from shimmy_operator.status.conditions import Verdict


def no_tenant(namespace: str) -> Verdict:
    """A namespace of no tenant."""
    return Verdict(
        False,
        "NoTenant",
        f"Namespace {namespace} belongs to no ShimmyTenant. Create models and instances in a tenant's namespace, "
        "which its status names.",
    )
