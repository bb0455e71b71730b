"""Autoscalers read the load of models through a real API server."""

import json
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus

import pytest
from tests.api import meters
from tests.api.agents import identity, rights
from tests.api.meters import GROUP, OPERATOR, ROUTER, Meters
from tests.api.process import NAMESPACE

from devkit.cluster import Cluster
from devkit.pki import Pair
from devkit.waiting import until
from shimmy_api.load import DeploymentLoad, LoadReport, LoadTotals, PodLoad

SPACE = "metered"
LOAD = f"{GROUP}/namespaces/{SPACE}/shimmy_model_load"
SELECTED = f"{LOAD}?labelSelector=instance%3Dpool%2Cmodel%3Dtiny"
HPA = identity("kube-system", "horizontal-pod-autoscaler")
USER = {"X-Remote-User": "anna", "X-Remote-Group": "system:masters"}


class Asker:
    """Asks all the time, on a thread, and keeps every answer that is not 200."""

    def __init__(self, ask: Callable[[], int]) -> None:
        self.asked = 0
        self.failed: list[str] = []
        self._ask = ask
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            self.asked += 1
            try:
                code = self._ask()
            except OSError as error:
                self.failed.append(str(error))
            else:
                self.failed += [str(code)] * (code != HTTPStatus.OK)


@pytest.fixture(scope="module")
def before(installed: Cluster) -> str:
    """What the API server had logged before: other tests have APIServices that nobody answers for."""
    return _logs(installed)


@pytest.fixture(scope="module")
def running(
    installed: Cluster,
    tmp_path_factory: pytest.TempPathFactory,
    before: str,  # noqa: ARG001 - it is read first
) -> Iterator[Meters]:
    with meters.meters(installed, tmp_path_factory.mktemp("meters")) as made:
        yield made


@pytest.fixture
def reported(running: Meters) -> Meters:
    """Two routers have spoken."""
    for router, in_flight in (("r0", 2), ("r1", 3)):
        running.report(report(router, in_flight))
    return running


def report(router: str, in_flight: int) -> LoadReport:
    """Each router knows a pod of its own, and one that all know."""
    pods = {f"of-{router}": PodLoad(in_flight=in_flight, queued=1), "shared": PodLoad(in_flight=in_flight)}
    tiny = DeploymentLoad(namespace=SPACE, deployment="pool-tiny", instance="pool", model="tiny", pods=pods)
    other = tiny.model_copy(update={"deployment": "pool-other", "model": "other"})
    return LoadReport(router=router, loads=(tiny, other))


def front_proxy(running: Meters) -> Pair:
    """The API server's own."""
    pki = running.cluster.folder / "pki"
    return Pair(pki / "front-proxy-client.crt", pki / "front-proxy-client.key")


def test_kubectl_reads_the_load(reported: Meters) -> None:
    found = json.loads(reported.cluster.kubectl("get", "--raw", SELECTED))
    assert [(one["metricName"], one["metricLabels"], one["value"]) for one in found["items"]] == [
        ("shimmy_model_load", {"deployment": "pool-tiny", "instance": "pool", "model": "tiny"}, "10")
    ]


def test_both_replicas_answer_the_same(reported: Meters) -> None:
    answers = [reported.direct(replica, front_proxy(reported)).ask(SELECTED, USER) for replica in range(2)]
    assert [code for code, _ in answers] == [HTTPStatus.OK] * 2
    assert [[one["value"] for one in json.loads(text)["items"]] for _, text in answers] == [["10"]] * 2


def test_each_replica_asks_for_itself_who_may(reported: Meters) -> None:
    replica = reported.direct(1, front_proxy(reported))
    code, text = replica.ask(SELECTED, {"X-Remote-User": "anna"})
    assert (code, json.loads(text)["reason"]) == (HTTPStatus.FORBIDDEN, "Forbidden")
    assert replica.ask(SELECTED, {"X-Remote-User": HPA[0]})[0] == HTTPStatus.OK


def test_the_autoscaler_may_read_and_others_may_not(reported: Meters) -> None:
    assert meters.code(reported.cluster.user_client(*HPA), SELECTED) == HTTPStatus.OK
    assert meters.code(reported.cluster.user_client("anna", ["system:authenticated"]), SELECTED) == HTTPStatus.FORBIDDEN


def test_a_user_with_a_role_reads_one_metric_of_one_namespace(reported: Meters) -> None:
    cluster = reported.cluster
    cluster.kubectl("create", "namespace", SPACE)
    role = ("--verb=list", "--resource=shimmy_model_load.external.metrics.k8s.io")
    cluster.kubectl("create", "role", "reader", "-n", SPACE, *role)
    cluster.kubectl("create", "rolebinding", "reader", "-n", SPACE, "--role=reader", "--user=bert")
    reader = cluster.user_client("bert")
    assert until(lambda: meters.code(reader, SELECTED) == HTTPStatus.OK, "the role is known", seconds=15, every=0.5)
    elsewhere = LOAD.replace(SPACE, "default")
    assert meters.code(reader, elsewhere) == HTTPStatus.FORBIDDEN
    assert meters.code(reader, LOAD.replace("_load", "_held")) == HTTPStatus.FORBIDDEN


def test_headers_of_a_direct_call_mean_nothing(reported: Meters) -> None:
    cluster = reported.cluster
    assert reported.direct(0).ask(LOAD, USER)[0] == HTTPStatus.UNAUTHORIZED
    cluster.user_client("anna", ["system:masters"])
    with pytest.raises(OSError, match=r"(?i)unknown ca|reset|closed"):
        reported.direct(0, Pair(cluster.folder / "pki/anna.crt", cluster.folder / "pki/anna.key")).ask(LOAD, USER)


def test_refusals_reach_the_client(reported: Meters) -> None:
    client = reported.cluster.client
    assert meters.code(client, f"{GROUP}/namespaces/{SPACE}/unknown") == HTTPStatus.NOT_FOUND
    assert meters.code(client, f"{LOAD}?labelSelector=a%3Db%3Dc") == HTTPStatus.BAD_REQUEST


def test_routers_report_and_the_operator_reads(reported: Meters) -> None:
    router, operator = reported.token(ROUTER), reported.token(OPERATOR)
    assert reported.post(router, report("r0", 2))[0] == HTTPStatus.NO_CONTENT
    code, text = reported.loads(operator)
    assert code == HTTPStatus.OK
    (found,) = [one for one in LoadTotals.model_validate_json(text).totals if one.deployment == "pool-tiny"]
    assert found.pods["shared"] == PodLoad(in_flight=2)
    assert reported.post(operator, report("r0", 2))[0] == HTTPStatus.FORBIDDEN
    assert reported.loads(router)[0] == HTTPStatus.FORBIDDEN


def test_nobody_else_reports_or_reads(running: Meters) -> None:
    other = running.token("other")
    assert running.post(other, report("r0", 2))[0] == HTTPStatus.FORBIDDEN
    assert running.loads(other)[0] == HTTPStatus.FORBIDDEN
    for token in (running.token(ROUTER, audience="other"), "no-token", ""):
        assert running.post(token, report("r0", 2))[0] == HTTPStatus.UNAUTHORIZED


def test_a_router_speaks_for_its_own_pod(running: Meters) -> None:
    token = running.token(ROUTER, pod="r7")
    assert running.post(token, report("r7", 2))[0] == HTTPStatus.NO_CONTENT
    assert running.post(token, report("r0", 2))[0] == HTTPStatus.FORBIDDEN


def test_discovery_shows_the_metrics(reported: Meters) -> None:
    def listed() -> str | None:
        found = reported.cluster.kubectl("api-resources", "--api-group=external.metrics.k8s.io", "--no-headers")
        return found if "shimmy_model_load" in found else None

    text = until(listed, "discovery knows the metrics", seconds=15, every=1)
    assert sorted(line.split()[0] for line in text.splitlines()) == [
        f"shimmy_model_{name}" for name in ("held", "in_flight", "load", "queued")
    ]


def test_it_may_only_ask(running: Meters) -> None:
    client = running.cluster.user_client(*identity(NAMESPACE, "shimmy-meter"))
    assert rights(client, NAMESPACE) == {
        ("subjectaccessreviews", "create"),
        ("tokenreviews", "create"),
    }


def test_a_certificate_rotates_without_a_failed_request(reported: Meters) -> None:
    through = Asker(lambda: meters.code(reported.cluster.client, SELECTED))
    directly = [
        Asker(lambda: reported.direct(0).ask("/healthz")[0]),
        Asker(lambda: reported.direct(1).ask("/healthz")[0]),
    ]
    with through, directly[0], directly[1]:
        for _ in range(3):
            reported.new_certificate()
            wanted = reported.certificate()
            until(lambda: reported.shown(0) == reported.shown(1) == wanted, "it is shown", seconds=5)  # noqa: B023
    assert [through.failed, directly[0].failed, directly[1].failed] == [[], [], []]
    assert min(through.asked, directly[0].asked, directly[1].asked) > 10


def test_the_api_server_has_nothing_to_complain_of(running: Meters, before: str) -> None:
    logs = _logs(running.cluster)
    assert logs.startswith(before)
    assert logs, "the API server has a log"
    since = logs[len(before) :].splitlines()
    assert "\n".join(line for line in since if line[:1] == "E" and "external.metrics" in line) == ""


def _logs(cluster: Cluster) -> str:
    return "".join(path.read_text(errors="replace") for path in cluster.folder.rglob("kube-apiserver*.log"))
