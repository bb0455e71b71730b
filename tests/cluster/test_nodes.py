"""A model whose pod finds no node waits for one, as a cluster autoscaler brings it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.operated import Operated

from devkit.cluster import Cluster, simulated
from devkit.waiting import until

GPU = "amd.com/gpu"
"""Which the simulated nodes do not have."""


def test_a_model_that_wakes_says_why_it_has_no_node_and_is_ready_once_there_is_one(operated: Operated) -> None:
    autoscaling = {"minReplicas": 0, "maxReplicas": 2}
    with operated.instance("waiting", autoscaling, gpu={"resourceName": GPU}) as waiting:
        operated.routers.wake("waiting")
        until(lambda: waiting.model.get("message"), "the status says why", seconds=15)
        model = waiting.model
        assert model["state"] == "Waking"
        (pod,) = waiting.pods().values()
        (scheduled,) = (one for one in pod["status"]["conditions"] if one["type"] == "PodScheduled")
        assert f"Insufficient {GPU}" in scheduled["message"]
        assert model["message"] == f"Unschedulable: {scheduled['message']}"
        ready = waiting.condition("Ready")
        assert ready is not None
        assert (ready["status"], ready["reason"]) == ("False", "Waking")
        assert scheduled["message"] in ready["message"]

        with _node(operated.cluster, GPU):
            model = waiting.wait_state("Ready", seconds=30)
            assert not model.get("message")
            assert waiting.pods().keys() == {pod["metadata"]["name"]}
        assert waiting.decisions() == [(0, 1, "Woken")]


@contextmanager
def _node(cluster: Cluster, resource: str) -> Iterator[None]:
    """One more node, which has one of a resource."""
    node = simulated.node(cluster.state.nodes + 1, 0)
    for field in ("allocatable", "capacity"):
        node["status"][field] = node["status"][field] | {resource: "1"}
    cluster.kubectl("apply", "--server-side", "-f", "-", standard_input=json.dumps(node))
    try:
        yield
    finally:
        cluster.client.json(f"/api/v1/nodes/{node['metadata']['name']}", "DELETE")
