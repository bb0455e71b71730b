"""What docs/meter.md tells other providers of external metrics to ask for is there."""

import re
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from devkit.paths import REPOSITORY
from shimmy_api.instance import ShimmyInstanceSpec
from shimmy_api.kinds import KINDS
from shimmy_meter.external_metrics import METRICS
from shimmy_meter.loads import Loads
from shimmy_meter.metrics import exposition
from shimmy_meter.wire import DeploymentLoad, LoadReport, PodLoad

Document = dict[str, Any]


@pytest.fixture(scope="module")
def documents() -> list[Document]:
    text = (REPOSITORY / "docs/meter.md").read_text(encoding="utf-8")
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


@pytest.fixture
async def series() -> dict[str, set[str]]:
    """Labels of each metric."""
    load = DeploymentLoad(
        namespace="shimmy-a", deployment="pool-tiny", instance="pool", model="tiny", pods={"p": PodLoad(in_flight=1)}
    )
    loads = Loads()
    loads.take("ns/r0", LoadReport(router="r0", loads=(load,)))
    text = (await exposition(loads)).decode()
    return {
        sample.name: set(sample.labels) for family in text_string_to_metric_families(text) for sample in family.samples
    }


def asked(query: str) -> tuple[str, set[str]]:
    """Metric and labels of a query of this shape: max(metric{label="value"}) by (label)."""
    found = re.fullmatch(r"(?:max\()?(\w+)\{([^}]*)\}\)?(?: by \(([^)]*)\))?", query)
    assert found, query
    metric, matchers, grouped = found.groups()
    labels = {re.split(r"[!=]", matcher)[0] for matcher in matchers.split(",")}
    return metric, labels | {label.strip() for label in (grouped or "").split(",") if label}


def test_prometheus_adapter_asks_for_what_is_there(documents: list[Document], series: dict[str, set[str]]) -> None:
    (rule,) = next(document for document in documents if "externalRules" in document)["externalRules"]
    metric, labels = asked(rule["seriesQuery"])
    assert labels | set(rule["resources"]["overrides"]) <= series[metric]
    # As the adapter fills it in for an autoscaler of the operator.
    query = rule["metricsQuery"].replace("<<.Series>>", metric)
    query = query.replace("<<.LabelMatchers>>", 'namespace="shimmy-a",deployment="pool-tiny"')
    metric, labels = asked(query)
    assert metric in METRICS
    assert labels == series[metric]


def test_keda_asks_for_what_is_there(documents: list[Document], series: dict[str, set[str]]) -> None:
    scaled = next(document for document in documents if document.get("kind") == "ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    metric, labels = asked(trigger["metadata"]["query"])
    assert metric in METRICS
    assert labels <= series[metric]
    target = scaled["spec"]["scaleTargetRef"]
    assert target["kind"] in {kind.kind for kind in KINDS}
    assert "replicas" in ShimmyInstanceSpec.model_fields
    assert f'namespace="{scaled["metadata"]["namespace"]}"' in trigger["metadata"]["query"]
    assert f'instance="{target["name"]}"' in trigger["metadata"]["query"]
