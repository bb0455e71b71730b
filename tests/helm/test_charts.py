"""Both charts as a whole."""

import pytest
import yaml
from tests.helm.charts import CHARTS, Helm, HelmRefusedError, Manifest, containers, find, pod_specs

from devkit.paths import REPOSITORY
from shimmy_api.kinds import KINDS


@pytest.mark.parametrize("chart", ["shimmy-crds", "shimmy-operator"])
def test_helm_lints_the_chart_without_a_warning(helm: Helm, chart: str) -> None:
    helm.run("lint", "--strict", str(CHARTS / chart))


def test_crds_survive_the_removal_of_their_chart(helm: Helm) -> None:
    crds = helm.render(chart="shimmy-crds")
    assert {crd["spec"]["names"]["kind"] for crd in crds} == {kind.kind for kind in KINDS}
    assert {crd["metadata"]["annotations"]["helm.sh/resource-policy"] for crd in crds} == {"keep"}


@pytest.mark.parametrize("chart", ["shimmy-crds", "shimmy-operator"])
def test_a_cluster_that_is_too_old_is_refused(helm: Helm, chart: str) -> None:
    with pytest.raises(HelmRefusedError, match="incompatible with Kubernetes"):
        helm.run("template", "shimmy", str(CHARTS / chart), "--kube-version", "1.30.9")


def test_everything_namespaced_is_in_the_releases_namespace(helm: Helm) -> None:
    cluster_scoped = {"ClusterRole", "ClusterRoleBinding", "APIService"}
    manifests = helm.render()
    # Who the API server's front proxy is stands in kube-system.
    reader = find(manifests, "RoleBinding", "shimmy-meter")
    assert reader["metadata"]["namespace"] == "kube-system"
    for manifest in manifests:
        if manifest["kind"] not in cluster_scoped and manifest is not reader:
            assert manifest["metadata"].get("namespace") == "fleet"


def test_one_registry_value_moves_every_image(helm: Helm) -> None:
    manifests = helm.render('image.registry="mirror.example:5000/ai"', 'image.tag="7"')
    images = {container["image"] for container in containers(manifests).values()}
    assert images == {f"mirror.example:5000/ai/shimmy-{name}:7" for name in ("operator", "router", "meter")}
    arguments = containers(manifests)["shimmy-operator/operator"]["args"]
    assert "--engine-image-llama=mirror.example:5000/ai/shimmy-engine-llama:7" in arguments
    assert "--engine-image-airframe=mirror.example:5000/ai/shimmy-engine-airframe:7" in arguments


def test_pull_secrets_reach_all_pods(helm: Helm) -> None:
    manifests = helm.render('image.pullSecrets=["registry"]')
    for pod in pod_specs(manifests).values():
        assert pod["imagePullSecrets"] == [{"name": "registry"}]


@pytest.mark.parametrize(
    "value",
    [
        "typo=1",
        'router.servce={"type":"NodePort"}',
        'router.replicas="two"',
        "router.replicas=0",
        'router.service.type="nodeport"',
        "router.tls.enabled=true",
        'router.endpoint="llm.example.com"',
        'image.pullPolicy="Sometimes"',
        'meter.externalMetrics="sometimes"',
        "meter.replicas=0",
        'fetch.egress=[{"ports":[443]}]',
        'fetch.egress=[{"cidr":"10.0.0.0/8","ports":[0]}]',
    ],
)
def test_a_mistyped_value_is_refused(helm: Helm, value: str) -> None:
    with pytest.raises(HelmRefusedError, match="values don't meet the specifications of the schema"):
        helm.render(value)


def test_the_schema_describes_every_default_value() -> None:
    def paths(value: Manifest, schema: Manifest) -> None:
        assert schema.get("additionalProperties") is not True
        for key, inner in value.items():
            described = schema["properties"][key]
            if isinstance(inner, dict) and "properties" in described:
                paths(inner, described)

    values = yaml.safe_load((CHARTS / "shimmy-operator" / "values.yaml").read_text(encoding="utf-8"))
    schema = yaml.safe_load((CHARTS / "shimmy-operator" / "values.schema.json").read_text(encoding="utf-8"))
    paths(values, schema)


def test_the_charts_have_the_projects_version() -> None:
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    for chart in ("shimmy-crds", "shimmy-operator"):
        described = yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text(encoding="utf-8"))
        assert f'version = "{described["version"]}"' in project
        assert described["appVersion"] == described["version"]
