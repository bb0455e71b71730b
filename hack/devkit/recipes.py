"""What the Go binaries of a development cluster are built from.

Every module in hack/go pins its dependencies in go.mod and go.sum, so the version is said in one place only: there.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devkit.paths import GO_MODULES

_KUBERNETES_VERSION_PACKAGES: Final = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
_NO_COMMIT: Final = "0" * 40


@dataclass(frozen=True, slots=True)
class Recipe:
    """One `go build`."""

    folder: str
    """Under hack/go."""
    package: str
    output: str
    """File name of the binary."""
    module: str = ""
    """The module in go.mod whose version is the binary's; empty for programs of this repository."""
    variables: tuple[str, ...] = ()
    """Linker `-X` settings; {version}, {major} and {minor} are filled in."""
    links: tuple[str, ...] = ()
    """Further names of the binary, which chooses by the name that it is called by."""
    minutes: float = 0.2
    """With empty Go caches on two cores."""

    @property
    def path(self) -> Path:
        """The module's folder."""
        return GO_MODULES / self.folder

    def version(self) -> str:
        """The pinned version with its v, or v0 for programs of this repository.

        Raises:
            ValueError: go.mod does not require the module.
        """
        if not self.module:
            return "v0"
        found = re.search(rf"^\s*(?:require )?{re.escape(self.module)} (v\S+)", self._go_mod(), re.MULTILINE)
        if not found:
            raise ValueError(f"{self.path / 'go.mod'} does not require {self.module}")
        return found.group(1)

    def linker_flags(self) -> str:
        """Flags that strip the binary and stamp its version."""
        version = self.version()
        major, minor = ([*version.removeprefix("v").split("."), "0"])[:2]
        stamped = (v.format(version=version, major=major, minor=minor) for v in self.variables)
        return " ".join(["-s", "-w", *(f"-X {v}" for v in stamped)])

    def _go_mod(self) -> str:
        return (self.path / "go.mod").read_text(encoding="utf-8")


KUBERNETES: Final = Recipe(
    "kubernetes",
    "./hyper",
    "hyper",
    module="k8s.io/kubernetes",
    variables=tuple(
        f"{package}.{setting}"
        for package in _KUBERNETES_VERSION_PACKAGES
        for setting in (
            "gitVersion={version}",
            "gitMajor={major}",
            "gitMinor={minor}",
            "gitTreeState=clean",
            f"gitCommit={_NO_COMMIT}",
            "buildDate=2026-01-01T00:00:00Z",
        )
    ),
    links=(
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "kubelet",
        "kubeadm",
        "kubectl",
    ),
    minutes=5,
)

RECIPES: Final[dict[str, Recipe]] = {
    "kubernetes": KUBERNETES,
    "etcd": Recipe("etcd", ".", "etcd", module="go.etcd.io/etcd/server/v3", minutes=0.5),
    "kwok": Recipe(
        "kwok",
        "sigs.k8s.io/kwok/cmd/kwok",
        "kwok",
        module="sigs.k8s.io/kwok",
        variables=("sigs.k8s.io/kwok/pkg/consts.Version={version}",),
        minutes=1.5,
    ),
    "helm": Recipe(
        "helm",
        "helm.sh/helm/v3/cmd/helm",
        "helm",
        module="helm.sh/helm/v3",
        variables=(
            "helm.sh/helm/v3/internal/version.version={version}",
            # Without these two, `helm template` and `helm lint` take the cluster for Kubernetes 1.20.
            "helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1",
            "helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=34",
            "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMajor=1",
            "helm.sh/helm/v3/pkg/lint/rules.k8sVersionMinor=34",
        ),
        minutes=1.5,
    ),
    "coredns": Recipe("coredns", ".", "coredns", module="github.com/coredns/coredns", minutes=1),
    "kube-router": Recipe(
        "kube-router",
        "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router",
        "kube-router",
        module="github.com/cloudnativelabs/kube-router/v2",
        minutes=2,
    ),
    "local-path-provisioner": Recipe(
        "local-path-provisioner",
        "github.com/rancher/local-path-provisioner",
        "local-path-provisioner",
        module="github.com/rancher/local-path-provisioner",
        minutes=1.5,
    ),
    "metrics-server": Recipe(
        "metrics-server",
        "sigs.k8s.io/metrics-server/cmd/metrics-server",
        "metrics-server",
        module="sigs.k8s.io/metrics-server",
        minutes=2,
    ),
    "kind": Recipe("kind", "sigs.k8s.io/kind", "kind", module="sigs.k8s.io/kind", minutes=0.5),
    "registry": Recipe(
        "registry",
        "github.com/distribution/distribution/v3/cmd/registry",
        "registry",
        module="github.com/distribution/distribution/v3",
        minutes=1.5,
    ),
    "versitygw": Recipe(
        "versitygw",
        "github.com/versity/versitygw/cmd/versitygw",
        "versitygw",
        module="github.com/versity/versitygw",
        minutes=1.5,
    ),
    "cnid": Recipe("pod-network", ".", "cnid"),
    "pause": Recipe("tools", "./pause", "pause"),
    "echo": Recipe("tools", "./echo", "echo"),
    "sse": Recipe("tools", "./sse", "sse"),
}


def recipe_of(name: str) -> str:
    """The name of the recipe that makes the program `name`.

    Raises:
        KeyError: no recipe makes it.
    """
    if name in RECIPES:
        return name
    for recipe_name, recipe in RECIPES.items():
        if name in (recipe.output, *recipe.links):
            return recipe_name
    raise KeyError(name)
