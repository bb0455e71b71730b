from pathlib import Path

import pytest
import yaml
from cryptography import x509

from devkit.cluster import control_plane
from devkit.cluster.control_plane import Layout
from devkit.cluster.removal import remove
from devkit.cluster.state import State, kubeconfig, require_ours
from devkit.pki import Authority

STATE = State(
    name="a",
    profile="api",
    host="127.0.0.1",
    ports={"kube-apiserver": 20001, "etcd": 20002, "etcd-peer": 20003},
    service_range="10.96.0.0/16",
    pod_range="10.244.0.0/16",
)


def write_kubeconfig(folder: Path, context: str, server: str) -> Path:
    authority = Authority(folder / "pki", "ca")
    pair = authority.client("administrator", "administrator", ["system:masters"])
    path = folder / "kubeconfig"
    path.write_text(kubeconfig(context, server, authority.files.certificate, pair))
    return path


def test_state_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    STATE.write(tmp_path)

    assert State.read(tmp_path) == STATE
    assert State.read(tmp_path / "none") is None


def test_a_cluster_started_here_is_accepted(tmp_path: Path) -> None:
    STATE.write(tmp_path)

    assert require_ours(write_kubeconfig(tmp_path, "shimmy-dev-a", STATE.server)) == STATE


@pytest.mark.parametrize(
    ("context", "server"), [("production", STATE.server), ("shimmy-dev-a", "https://192.0.2.1:6443")]
)
def test_any_other_cluster_is_refused(tmp_path: Path, context: str, server: str) -> None:
    STATE.write(tmp_path)

    with pytest.raises(PermissionError, match="is no cluster started by hack/cluster"):
        require_ours(write_kubeconfig(tmp_path, context, server))


def test_a_kubeconfig_without_a_marker_beside_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermissionError):
        require_ours(write_kubeconfig(tmp_path, "shimmy-dev-a", STATE.server))


def test_a_folder_that_is_no_cluster_is_not_removed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("")

    with pytest.raises(PermissionError, match="left alone"):
        remove(tmp_path)

    assert (tmp_path / "thesis.txt").exists()


def test_the_front_proxy_has_an_authority_of_its_own() -> None:
    flags = dict(flag.split("=", 1) for flag in control_plane.api_server(STATE, Layout(Path("/c"))))

    assert flags["--requestheader-client-ca-file"] != flags["--client-ca-file"]
    assert flags["--requestheader-allowed-names"] == "front-proxy-client"


def test_flags_are_spelled_as_go_programs_read_them() -> None:
    assert control_plane.flags(secure_port=1, leader_elect=False) == ["--secure-port=1", "--leader-elect=false"]


def test_a_server_certificate_names_every_host(tmp_path: Path) -> None:
    pair = Authority(tmp_path, "ca").server("kube-apiserver", control_plane.server_hosts(STATE))
    names = x509.load_pem_x509_certificate(pair.certificate.read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )

    assert "kubernetes.default.svc" in names.value.get_values_for_type(x509.DNSName)
    assert {str(a) for a in names.value.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "10.96.0.1"}


def test_a_client_certificate_carries_user_and_groups(tmp_path: Path) -> None:
    pair = Authority(tmp_path, "ca").client("u", "system:node:n", ["system:nodes"])
    subject = x509.load_pem_x509_certificate(pair.certificate.read_bytes()).subject

    assert subject.rfc4514_string() == "CN=system:node:n,O=system:nodes"
    assert (pair.key.stat().st_mode & 0o777) == 0o600


def test_an_authority_is_read_again_not_made_anew(tmp_path: Path) -> None:
    first = Authority(tmp_path, "ca").files.certificate.read_bytes()

    assert Authority(tmp_path, "ca").files.certificate.read_bytes() == first


def test_kubeconfig_needs_no_other_file(tmp_path: Path) -> None:
    config = yaml.safe_load(write_kubeconfig(tmp_path, "shimmy-dev-a", STATE.server).read_text())

    assert config["current-context"] == "shimmy-dev-a"
    assert set(config["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
