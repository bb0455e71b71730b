"""The headless Service of one model of an instance."""

from shimmy_api import names
from shimmy_operator.render.metadata import Manifest, Owner, labels, metadata


def render_service(tenant: str, namespace: str, owner: Owner, model: str, selector: dict[str, str]) -> Manifest:
    """A Service without an address of its own: the router reads its EndpointSlices and talks to pods.

    Its EndpointSlices carry its labels, the model's among them, whichever pods it selects.
    """
    found = labels(tenant, component=names.ENGINE, instance=owner.name, model=model)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(names.serving(owner.name, model), namespace, found, owner),
        "spec": {
            "clusterIP": "None",
            "selector": selector,
            "ports": [
                {
                    "name": names.ENGINE_PORT_NAME,
                    "port": names.ENGINE_PORT,
                    "targetPort": names.ENGINE_PORT_NAME,
                    "protocol": "TCP",
                    "appProtocol": "kubernetes.io/h2c",
                }
            ],
        },
    }
