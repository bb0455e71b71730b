"""The project itself, installed by its chart, before a model on real Shimmy that goes back to zero."""

from typing import Final

import yaml

from devkit import images, models
from devkit.bench.wake.moments import Target
from devkit.bench.wake.subject import Request
from devkit.cluster import Cluster
from devkit.demo.fleet import MODEL, NAMESPACE, SYSTEM_NAMESPACE, TENANT, Fleet
from devkit.demo.sleeper import sleeper
from devkit.kubectl import Kubectl
from shimmy_api import names

_IMAGES: Final = ("shimmy-operator", "shimmy-meter", "shimmy-router", "shimmy-engine-llama")
_INSTANCE: Final = "sleeper"
_SERVICE: Final = f"/api/v1/namespaces/{SYSTEM_NAMESPACE}/services/shimmy-router"


class Shimmy:
    """As `hack/demo` installs it, with another instance."""

    title = "Shimmy"
    target = Target(
        NAMESPACE,
        "deployments",
        names.serving(_INSTANCE, MODEL),
        names.selector_labels(_INSTANCE, MODEL),
        says_ready="the engine is ready",
    )

    def prepare(self) -> None:
        """Build its images, and have the model."""
        images.build(_IMAGES)
        models.smollm2()

    def start(self, cluster: Cluster) -> Request:
        """Install it; the first token of a chat is what wakes the model and what is waited for."""
        cluster.load([built.archive for built in images.build(_IMAGES)])
        fleet = Fleet(Kubectl(cluster.kubeconfig))
        fleet.install()
        fleet.apply_example("tenant.yaml")
        fleet.kubectl.wait_ready("shimmytenant", TENANT)
        fleet.fill_volume(models.smollm2())
        fleet.apply_example("model.yaml")
        fleet.kubectl.wait_ready("shimmymodel", MODEL, NAMESPACE)
        fleet.kubectl.apply(yaml.safe_dump(sleeper(_INSTANCE, cpu="1")))
        address = cluster.client.json(_SERVICE)["spec"]["clusterIP"]
        messages = [{"role": "user", "content": "Hello"}]
        body = {"model": MODEL, "messages": messages, "max_tokens": 4, "stream": True}
        url = f"http://{address}/v1/chat/completions"
        return Request(url, {"authorization": f"Bearer {fleet.key()}"}, body)
