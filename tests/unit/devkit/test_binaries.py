import shutil
from pathlib import Path

import pytest

from devkit import binaries, found
from devkit.found import Fit
from devkit.recipes import KUBERNETES, RECIPES, recipe_of


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_has_a_pinned_module(name: str) -> None:
    recipe = RECIPES[name]

    assert (recipe.path / "go.mod").is_file()
    assert recipe.version().startswith("v")
    assert "{" not in recipe.linker_flags()


def test_the_version_comes_from_go_mod() -> None:
    assert KUBERNETES.version() in (KUBERNETES.path / "go.mod").read_text()
    assert f"gitVersion={KUBERNETES.version()}" in KUBERNETES.linker_flags()


def test_helm_templates_for_the_kubernetes_that_is_built() -> None:
    minor = KUBERNETES.version().split(".")[1]

    assert f"k8sVersionMinor={minor}" in RECIPES["helm"].linker_flags()


def test_a_program_with_many_names_has_one_recipe() -> None:
    assert recipe_of("kubectl") == recipe_of("kubelet") == "kubernetes"


@pytest.mark.parametrize(
    ("version", "newer_minors", "taken"),
    [
        ("v1.34.9", 0, True),
        ("v1.34.0", 0, True),
        ("v1.35.1", 0, False),
        ("v1.35.1", 1, True),
        ("v1.36.0", 1, False),
        ("v1.40.0", None, True),
        ("v1.33.9", None, False),
        ("v2.34.4", None, False),
    ],
)
def test_only_a_fitting_version_stands_in_for_the_pinned_one(
    version: str, newer_minors: int | None, taken: bool
) -> None:
    assert found.fits(version, "v1.34.4", Fit(("--version",), newer_minors)) is taken


def test_kubebuilder_assets_come_before_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "etcd"
    program.write_text("#!/bin/sh\necho etcd Version: 3.99.0\n")
    program.chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))

    assert binaries.ensure("etcd") == program


def test_an_unknown_program_is_named_with_the_known_ones() -> None:
    with pytest.raises(binaries.BinaryError, match="no program 'etcdd'; known are: kubernetes, etcd"):
        binaries.ensure("etcdd")


def test_without_go_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str, **_: object) -> None:
        assert name in {"go", "etcd"}

    monkeypatch.setattr(shutil, "which", nothing)

    with pytest.raises(binaries.BinaryError, match=r"https://go\.dev/dl"):
        binaries.ensure("etcd")
