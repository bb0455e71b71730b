"""HTTPS by the router itself, with the certificate of a Secret."""

import httpx
from tests.e2e.certificates import HOST, Certificates

from devkit.demo.fleet import MODEL, SYSTEM_NAMESPACE, Fleet
from devkit.waiting import until


def test_a_renewed_certificate_is_shown_to_new_connections_and_closes_none(
    fleet: Fleet, certificates: Certificates
) -> None:
    headers = {"authorization": f"Bearer {fleet.key()}"}
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    with (
        fleet.kubectl.port_forward("service/shimmy-router", 443, SYSTEM_NAMESPACE) as port,
        httpx.Client(base_url=f"https://{HOST}:{port}/v1", headers=headers, verify=certificates.trust()) as client,
    ):
        assert client.post("/chat/completions", json=body, timeout=60).status_code == httpx.codes.OK
        connection = _connection(client.get("/models"))
        renewed = certificates.put("renewed")

        def shown() -> bool:
            assert _connection(client.get("/models")) == connection
            return certificates.shown(port) == renewed

        # The kubelet looks at Secrets when it looks at their pods, every so often.
        until(shown, "the new certificate", seconds=120, every=1)
        assert _connection(client.get("/models")) == connection
        assert client.post("/chat/completions", json=body, timeout=60).status_code == httpx.codes.OK


def _connection(response: httpx.Response) -> object:
    """The client's end of the connection that a good answer came on."""
    assert response.is_success
    return response.extensions["network_stream"].get_extra_info("client_addr")
