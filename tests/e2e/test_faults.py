"""What breaks, and mends itself."""

import httpx
from tests.e2e.pods import KILL_SHIMMY, engines, python

from devkit.demo.chat import ChatError, chat
from devkit.demo.fleet import MODEL, NAMESPACE, SYSTEM_NAMESPACE, Fleet
from devkit.waiting import until


def test_shimmy_killed_in_a_stream_ends_it_with_an_error_and_comes_back(fleet: Fleet, url: str) -> None:
    (pod,) = engines(fleet)
    name = pod["metadata"]["name"]
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Write a very long story about a lighthouse."}],
        "max_tokens": 1500,
        "stream": True,
    }
    headers = {"authorization": f"Bearer {fleet.key()}"}
    with httpx.stream("POST", f"{url}/chat/completions", json=body, headers=headers, timeout=60) as response:
        lines = response.iter_lines()
        next(line for line in lines if '"content"' in line)
        assert python(fleet, NAMESPACE, name, KILL_SHIMMY) == "killed"
        assert any('"error"' in line for line in lines)

    def answers() -> bool:
        try:
            return bool(chat(url, fleet.key(), MODEL, "Hello", max_tokens=4).pod == name)
        except ChatError:
            return False

    until(answers, "the same pod answers again", seconds=30, every=0.5)
    (after,) = engines(fleet)
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def test_requests_do_not_notice_that_the_operator_is_away(fleet: Fleet, url: str) -> None:
    kubectl = fleet.kubectl
    kubectl.run("scale", "deployment/shimmy-operator", "-n", SYSTEM_NAMESPACE, "--replicas=0")
    kubectl.run(
        *("wait", "pod", "-n", SYSTEM_NAMESPACE, "-l", "app.kubernetes.io/name=shimmy-operator", "--for=delete"),
        "--timeout=60s",
    )
    try:
        assert chat(url, fleet.key(), MODEL, "Hello", max_tokens=4).completion_tokens > 0
    finally:
        kubectl.run("scale", "deployment/shimmy-operator", "-n", SYSTEM_NAMESPACE, "--replicas=1")
        kubectl.run("rollout", "status", "deployment/shimmy-operator", "-n", SYSTEM_NAMESPACE, "--timeout=60s")
