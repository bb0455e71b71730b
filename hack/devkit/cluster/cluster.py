"""One running development cluster, seen from a test or a tool."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from devkit import binaries
from devkit.cluster import control_plane
from devkit.cluster.client import ApiError, Client
from devkit.cluster.control_plane import Layout
from devkit.cluster.kind import runtime
from devkit.cluster.node import images
from devkit.cluster.node.settings import Node
from devkit.cluster.removal import stop
from devkit.cluster.state import State, kubeconfig, tls
from devkit.kubectl import Kubectl, KubectlError
from devkit.pki import Authority, Pair
from devkit.processes import Processes
from devkit.waiting import until

ADMINISTRATOR: Final = "administrator"
_READY_SECONDS: Final = 60


class ClusterError(Exception):
    """A cluster cannot be started, used or stopped; the message says what to do."""


class Cluster:
    """A cluster that hack/cluster or a test fixture started."""

    def __init__(self, folder: Path, state: State) -> None:
        self.state = state
        self.layout = Layout(folder)
        self.processes = Processes(folder)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The cluster in `folder`.

        Raises:
            ClusterError: there is none.
        """
        state = State.read(folder)
        if state is None:
            raise ClusterError(f"no cluster in {folder}")
        return cls(folder, state)

    @property
    def name(self) -> str:
        """Its name."""
        return self.state.name

    @property
    def folder(self) -> Path:
        """Holds everything of it."""
        return self.layout.folder

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.layout.kubeconfig

    @property
    def context(self) -> str:
        """Name of the kube context in every kubeconfig of it."""
        return self.state.context

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self.state.server

    @property
    def audit_log(self) -> Path:
        """JSON lines; devkit.audit reads them."""
        return self.layout.audit_log

    @property
    def client(self) -> Client:
        """Requests as the administrator."""
        return self._client(Pair(Path(self.layout.certificate(ADMINISTRATOR)), Path(self.layout.key(ADMINISTRATOR))))

    def alive(self) -> bool:
        """Whether its API server runs, on kind: its node."""
        if self.state.profile == "kind":
            return runtime.alive(self.state)
        known = self.processes.get("kube-apiserver")
        return known is not None and known.alive()

    def credentials(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for `user` in `groups`, with the rights that RBAC gives them and no others.

        A ServiceAccount is the user `system:serviceaccount:NAMESPACE:NAME` in the groups `system:serviceaccounts` and
        `system:serviceaccounts:NAMESPACE`.
        """
        pair = self._pair(user, groups)
        path = self.folder / f"{pair.certificate.stem}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(kubeconfig(self.context, self.server, Path(self.layout.certificate("ca")), pair), "utf-8")
        return path

    def user_client(self, user: str, groups: Sequence[str] = ()) -> Client:
        """Requests as `user` in `groups`; see `credentials`."""
        return self._client(self._pair(user, groups))

    def load(self, archives: Sequence[Path]) -> list[str]:
        """Import docker-archives or OCI archives into the real node; the names of the images that it then has.

        Raises:
            ClusterError: there is no real node, or an archive cannot be read.
        """
        if self.state.profile not in {"node", "kind"}:
            raise ClusterError(f"{self.name} has profile {self.state.profile}, and so no real node to load images into")
        try:
            if self.state.profile == "kind":
                return runtime.load(self.state, archives)
            return images.load(Node(self.state, self.layout), archives)
        except (images.ImageError, runtime.KindError) as error:
            raise ClusterError(str(error)) from error

    def kubectl(self, *arguments: str, standard_input: str | None = None) -> str:
        """What kubectl prints, run as the administrator.

        Raises:
            ClusterError: kubectl failed; the message is its own.
        """
        try:
            return Kubectl(self.kubeconfig).run(*arguments, stdin=standard_input)
        except KubectlError as error:
            raise ClusterError(str(error)) from error

    def start_kubectl(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """A kubectl that keeps running, such as `port-forward`; the caller ends it."""
        command = Kubectl(self.kubeconfig).command(*arguments)
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def start_apiserver(self) -> None:
        """Start the API server and wait until it is ready.

        Raises:
            ClusterError: it ended or did not get ready in time; the message ends with its log.
        """
        program = str(binaries.ensure("kube-apiserver"))
        self.processes.start("kube-apiserver", [program, *control_plane.api_server(self.state, self.layout)])
        self.wait_ready("kube-apiserver")

    def stop_apiserver(self, *, at_once: bool = False) -> None:
        """End the API server; etcd and everything in it stays."""
        self.processes.stop("kube-apiserver", at_once=at_once)

    def wait_ready(self, name: str) -> None:
        """Wait until the API server is ready, as long as the process `name` runs; errors as in `start_apiserver`."""
        client = self.client

        def answer() -> bool:
            known = self.processes.get(name)
            if known is None or not known.alive():
                raise ClusterError(f"{name} ended; the end of its log:\n{self.processes.tail(name)}")
            try:
                return client.text("/readyz", timeout=2) == "ok"
            except (ApiError, OSError):
                return False

        try:
            until(answer, "the API server is ready", seconds=_READY_SECONDS)
        except TimeoutError as error:
            raise ClusterError(f"{error}; the end of its log:\n{self.processes.tail(name)}") from error

    def _client(self, pair: Pair) -> Client:
        return Client(self.server, tls(Path(self.layout.certificate("ca")), pair))

    def _pair(self, user: str, groups: Sequence[str]) -> Pair:
        return Authority(self.layout.pki, "ca").client(user.replace(":", "-").replace("/", "-"), user, groups)

    def stop(self) -> None:
        """End every process and remove the folder."""
        stop(self.folder)
