"""What was found, against what there is."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shimmy_api import names
from shimmy_api.discovery import Discovered, DiscoveryReport
from shimmy_api.model import ShimmyModelSpec
from shimmy_api.tenant import DiscoverySource
from shimmy_operator.cluster.resources import Manifest
from shimmy_operator.reconcile.discovery_plan import Plan, Seen, make_plan

NOW = "2026-01-01T00:00:00Z"


def found(path: str, name: str | None = None, **fields: Any) -> Discovered:
    stem = path.rpartition("/")[2].removesuffix(".gguf")
    values = {"kind": "gguf", "path": f"/models/{path}", "source": f"pvc://models/{path}", **fields}
    return Discovered(name=name or stem, **values)


def seen(*models: Discovered, name: str = "shared", source: str = "pvc://models", complete: bool = True) -> Seen:
    report = DiscoveryReport(finished_at=NOW, models=models, complete=complete)
    return Seen(DiscoverySource(name=name, source=source), report)


def unknown(name: str = "shared") -> Seen:
    return Seen(DiscoverySource(name=name, source="pvc://models"), None)


def existing(name: str, path: str, by: str | None = "shared") -> Manifest:
    labels = {names.LABEL_DISCOVERED_BY: by} if by else {}
    backend = {"gguf": {"source": f"pvc://models/{path}"}}
    return {"metadata": {"name": name, "labels": labels}, "spec": {"backend": backend}}


def plan(*sources: Seen, there: tuple[Manifest, ...] = (), served: tuple[str, ...] = (), retire: bool = True) -> Plan:
    return make_plan(sources, there, served, retire=retire)


def wanted(made: Plan) -> dict[str, str]:
    return {model.name: model.spec["backend"]["gguf"]["source"].removeprefix("pvc://models/") for model in made.wanted}


def retired(made: Plan) -> list[str]:
    return [model["metadata"]["name"] for model in made.retired]


def reasons(made: Plan, source: str = "shared") -> list[tuple[str, str]]:
    return [(skip.path, skip.reason) for skip in made.skips[source]]


def test_what_is_found_is_wanted() -> None:
    made = plan(seen(found("a.gguf"), found("b.gguf", personal=True)))
    assert wanted(made) == {"a": "a.gguf", "b": "b.gguf"}
    assert [model.spec.get("personal", False) for model in made.wanted] == [False, True]
    assert (retired(made), reasons(made)) == ([], [])


def test_a_model_keeps_its_name_whatever_the_report_calls_it() -> None:
    made = plan(seen(found("b/a.gguf", "a"), found("a/a.gguf", "a-1234")), there=(existing("a", "a/a.gguf"),))
    assert wanted(made)["a"] == "a/a.gguf"
    assert len(wanted(made)) == 2


def test_a_model_whose_file_moved_is_updated_in_place() -> None:
    made = plan(seen(found("new/a.gguf")), there=(existing("a", "old/a.gguf"),), served=("a",))
    assert wanted(made) == {"a": "new/a.gguf"}
    assert (retired(made), reasons(made)) == ([], [])


def test_what_is_gone_is_retired() -> None:
    assert retired(plan(seen(), there=(existing("a", "a.gguf"),))) == ["a"]


def test_nothing_is_retired_where_models_are_kept() -> None:
    assert retired(plan(seen(), there=(existing("a", "a.gguf"),), retire=False)) == []


def test_nothing_is_retired_for_a_report_that_is_incomplete_or_missing() -> None:
    for source in (seen(complete=False), unknown()):
        made = plan(source, there=(existing("a", "a.gguf"),))
        assert (wanted(made), retired(made)) == ({}, [])


def test_models_of_a_source_that_is_no_more_are_retired() -> None:
    assert retired(plan(seen(name="new"), there=(existing("a", "a.gguf", "old"),))) == ["a"]


def test_a_model_that_another_source_finds_now_changes_hands() -> None:
    made = plan(seen(found("a.gguf"), name="new"), there=(existing("a", "a.gguf", "old"),))
    assert [(model.name, model.source) for model in made.wanted] == [("a", "new")]
    assert retired(made) == []


def test_a_served_model_is_not_retired() -> None:
    made = plan(seen(), there=(existing("a", "a.gguf"),), served=("a",))
    assert retired(made) == []
    assert reasons(made) == [("a", "InUse")]


def test_a_model_by_hand_keeps_its_name_and_its_file() -> None:
    there = (existing("a", "else.gguf", None), existing("mine", "b.gguf", None))
    made = plan(seen(found("a.gguf"), found("b.gguf")), there=there)
    assert (wanted(made), retired(made)) == ({}, [])
    assert reasons(made) == [("/models/a.gguf", "NameTaken")]


def test_a_copy_by_hand_does_not_retire_the_model_that_was_discovered() -> None:
    made = plan(seen(found("a.gguf")), there=(existing("a", "a.gguf"), existing("copy", "a.gguf", None)))
    assert (wanted(made), retired(made)) == ({"a": "a.gguf"}, [])


def test_a_file_that_two_sources_find_is_one_model() -> None:
    made = plan(seen(found("x/a.gguf")), seen(found("x/a.gguf"), name="inner", source="pvc://models/x"))
    assert [(model.name, model.source) for model in made.wanted] == [("a", "shared")]


def test_models_of_two_sources_that_would_share_a_name_get_different_ones_that_stay() -> None:
    one, other = seen(found("x/a.gguf")), seen(found("y/a.gguf"), name="other")
    first = wanted(plan(one, other))
    assert first["a"] == "x/a.gguf"
    (second,) = [name for name in first if name != "a"]
    there = (existing("a", "x/a.gguf"), existing(second, "y/a.gguf", "other"))
    assert wanted(plan(one, other, there=there)) == first
    assert wanted(plan(seen(), other, there=there)) == {second: "y/a.gguf"}


def test_what_lies_outside_of_its_source_is_refused() -> None:
    sources = (
        "pvc://secrets/a.gguf",
        "pvc://models/other/a.gguf",
        "pvc://models/llm/../a.gguf",
        "pvc://models/llm/a b",
    )
    models = [found(f"{number}.gguf", source=source) for number, source in enumerate(sources)]
    adapter = found("x.gguf", source="pvc://models/llm/x.gguf", kind="ggufAdapter", base_source="pvc://models/b.gguf")
    made = plan(seen(*models, adapter, found("none.gguf", source=None), source="pvc://models/llm"))
    assert wanted(made) == {}
    assert [reason for _, reason in reasons(made)] == ["Outside"] * 6


def test_an_adapter_becomes_a_model_with_its_base() -> None:
    peft = found("voice", kind="peft", base_source="pvc://models/tiny", base_parameters=8_000_000_000, personal=True)
    lora = found("tone.gguf", kind="ggufAdapter", base_source="pvc://models/tiny.gguf", personal=True)
    made = plan(seen(peft, lora))
    assert {model.name: model.spec for model in made.wanted} == {
        "voice": {
            "backend": {"huggingFace": {"baseModel": "pvc://models/tiny", "peftSource": "pvc://models/voice"}},
            "personal": True,
            "storage": {"size": "9Gi"},
        },
        "tone": {
            "backend": {"gguf": {"source": "pvc://models/tiny.gguf", "loraSource": "pvc://models/tone.gguf"}},
            "personal": True,
        },
    }
    assert all(ShimmyModelSpec.model_validate(model.spec) for model in made.wanted)


def test_an_adapter_whose_base_changes_is_another_model() -> None:
    backend = {"gguf": {"source": "pvc://models/old.gguf", "loraSource": "pvc://models/tone.gguf"}}
    there = {
        "metadata": {"name": "tone", "labels": {names.LABEL_DISCOVERED_BY: "shared"}},
        "spec": {"backend": backend},
    }
    lora = found("tone.gguf", kind="ggufAdapter", base_source="pvc://models/new.gguf")
    made = plan(seen(lora), there=(there,))
    assert [(model.name, model.spec["backend"]["gguf"]["source"]) for model in made.wanted] == [
        ("tone", "pvc://models/new.gguf")
    ]
    assert retired(made) == []


def test_an_adapter_without_a_base_is_told() -> None:
    made = plan(seen(found("voice", kind="peft", base="acme/tiny")))
    assert reasons(made) == [("/models/voice", "BaseNotFound")]
    assert "'acme/tiny'" in made.skips["shared"][0].message


def test_what_would_have_to_be_converted_is_left_where_its_source_says_so() -> None:
    folder = seen(found("tiny", kind="huggingFace"), found("a.gguf"))
    assert len(plan(folder).wanted) == 2
    source = folder.source.model_copy(update={"convert": False})
    made = plan(Seen(source, folder.report))
    assert wanted(made) == {"a": "a.gguf"}
    assert reasons(made) == [("/models/tiny", "NotConverted")]


_PATHS = st.lists(st.sampled_from([f"{folder}/{name}.gguf" for folder in "ab" for name in "xyz"]), unique=True)
_THERE = st.dictionaries(
    st.sampled_from(["x", "y", "z", "w"]), st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.booleans())
)


@given(_PATHS, _THERE, st.sets(st.sampled_from("xyzw")))
def test_carrying_a_plan_out_leaves_nothing_to_do_and_what_is_made_by_hand_as_it_is(
    paths: list[str], before: dict[str, tuple[str, str, bool]], served: set[str]
) -> None:
    there = {
        name: existing(name, f"{folder}/{stem}.gguf", "shared" if ours else None)
        for name, (folder, stem, ours) in before.items()
    }
    report = seen(*map(found, paths))
    first = plan(report, there=tuple(there.values()), served=tuple(served))
    by_hand = {name for name, (_, _, ours) in before.items() if not ours}
    assert not by_hand & {*wanted(first), *retired(first)}
    assert not served & {*retired(first)}
    assert len({model.name for model in first.wanted}) == len(first.wanted)
    after = {name: model for name, model in there.items() if name not in retired(first)}
    after |= {name: existing(name, path) for name, path in wanted(first).items()}
    second = plan(report, there=tuple(after.values()), served=tuple(served))
    assert wanted(second) == wanted(first)
    assert retired(second) == []
