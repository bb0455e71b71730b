"""The examples and the guide for tenants hold together: what they name is accepted, and says what the guide says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devkit.paths import REPOSITORY
from shimmy_api.access import AccessState
from shimmy_api.kinds import KINDS
from shimmy_api.tenant import ShimmyTenantSpec
from shimmy_operator.reconcile.keys import key_id
from shimmy_operator.status.tokens import judge

GUIDE = REPOSITORY / "docs/tenants.md"
SPECS = {kind.kind: kind.spec for kind in KINDS}


def documents(path: Path) -> Iterator[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if path.suffix == ".md" else [text]
    for block in blocks:
        yield from filter(None, yaml.safe_load_all(block))


FILES = [GUIDE, *sorted((REPOSITORY / "examples").glob("*.yaml"))]
OBJECTS = [(path.name, found) for path in FILES for found in documents(path)]


@pytest.mark.parametrize(
    ("where", "found"), [pytest.param(*one, id=f"{one[0]}-{index}") for index, one in enumerate(OBJECTS)]
)
def test_an_example_means_what_it_says(where: str, found: dict[str, Any]) -> None:
    if found["kind"] not in SPECS:
        assert found["kind"] in {"Secret", "ConfigMap"}, where
        return
    spec = SPECS[found["kind"]].model_validate(found["spec"])
    said = spec.model_dump(by_alias=True, mode="json", exclude_unset=True)
    assert said == found["spec"], f"{where} has a field that nobody reads"


@pytest.mark.parametrize("place", ["tenants.md", "examples"])
def test_the_issuers_of_the_examples_have_their_keys(place: str) -> None:
    found = [one for where, one in OBJECTS if (where == GUIDE.name) == (place == GUIDE.name)]
    [key_sets] = [one["data"] for one in found if one["kind"] == "ConfigMap"]
    for one in found:
        if one["kind"] == "ShimmyTenant":
            tokens = ShimmyTenantSpec.model_validate(one["spec"]).tokens
            states = [judged.status.state for judged in judge(tokens, key_sets, "shimmy-system", ())]
            assert set(states) <= {AccessState.ACTIVE}


def test_the_guides_own_key_has_the_form_that_it_asks_for() -> None:
    [secret] = [one for where, one in OBJECTS if where == GUIDE.name and one["kind"] == "Secret"]
    assert key_id(secret["stringData"]["key"]) == "exampl42"
    assert secret["metadata"]["labels"] == {"app.kubernetes.io/part-of": "shimmy"}


def test_the_guide_names_every_state_of_a_key() -> None:
    assert all(f"`{state}`" in GUIDE.read_text(encoding="utf-8") for state in AccessState)
