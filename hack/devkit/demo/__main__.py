"""Command line of `hack/demo`."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from devkit import cluster, images, models, shimmy_build
from devkit.binaries import BinaryError, ensure
from devkit.cluster import Profile
from devkit.cluster.kind.runtime import KindError
from devkit.demo.chat import Answer, ChatError, chat
from devkit.demo.fleet import MODEL, NAMESPACE, SYSTEM_NAMESPACE, Fleet, HelmError
from devkit.demo.place import choose
from devkit.kubectl import Kubectl, KubectlError, NotReadyError
from devkit.paths import clusters
from devkit.progress import say, step

CLUSTER = "demo"
PROMPT = "What is the capital of France?"
IMAGES = ("shimmy-operator", "shimmy-meter", "shimmy-router", "shimmy-engine-llama")
_EXPECTED = (
    *(BinaryError, shimmy_build.BuildError, images.ImageError, subprocess.CalledProcessError),
    *(
        cluster.ClusterError,
        KindError,
        KubectlError,
        NotReadyError,
        HelmError,
        ChatError,
        TimeoutError,
        PermissionError,
    ),
)


def main() -> None:
    """Bring the demo up and chat, or take it down."""
    parser = argparse.ArgumentParser(
        prog="hack/demo",
        description="From nothing to a chat answer: cluster, images, charts, a tenant, a model, an instance, a chat. "
        "A second run reuses what is there.",
    )
    parser.add_argument("--down", action="store_true", help="remove all of it; what was built stays in the cache")
    parser.add_argument("--on", choices=("kind", "node"), help="where to run it (default: kind where Docker runs)")
    parser.add_argument("--prompt", default=PROMPT, help=f"what to ask (default: {PROMPT!r})")
    arguments = parser.parse_args()
    try:
        if arguments.down:
            with step("removing the demo's cluster"):
                cluster.stop(clusters() / CLUSTER)
        else:
            _up(arguments.on, arguments.prompt)
    except _EXPECTED as error:
        sys.exit(f"hack/demo: {error}")


def _up(wanted: Profile | None, prompt: str) -> None:
    profile, why = choose(wanted)
    say(why)
    built = images.build(IMAGES)
    model = models.smollm2()
    with step("cluster"):
        started = cluster.start(profile, CLUSTER)
    with step("loading the images"):
        started.load([image.archive for image in built])
    fleet = Fleet(Kubectl(started.kubeconfig))
    fleet.install()
    _restart_changed(fleet, started.folder / "loaded-images", built)
    fleet.serve(model)
    with fleet.router() as url:
        print(f"\n> {prompt}\n", flush=True)
        answer = chat(url, fleet.key(), MODEL, prompt, echo=True)
    _tell(fleet, answer)


def _restart_changed(fleet: Fleet, record: Path, built: list[images.Built]) -> None:
    """Restart what runs an image that an earlier run loaded in another state: its tag is the same."""
    now = {image.image.name: image.archive.name for image in built}
    before = json.loads(record.read_text(encoding="utf-8")) if record.exists() else now
    if changed := [name for name, archive in now.items() if before.get(name, archive) != archive]:
        with step(f"restarting what runs {', '.join(changed)}"):
            fleet.restart(changed)
    record.write_text(json.dumps(now), encoding="utf-8")


def _tell(fleet: Fleet, answer: Answer) -> None:
    kubectl = f"{ensure('kubectl')} --kubeconfig {fleet.kubectl.kubeconfig}"
    print(f"""

{answer.prompt_tokens} prompt and {answer.completion_tokens} completion tokens, counted exactly;
answered by pod {answer.pod}, request {answer.request_id}

Try next:
  alias k='{kubectl}'
  k get shimmy -A
  k -n {SYSTEM_NAMESPACE} port-forward service/shimmy-router 8000:80 &
  export OPENAI_API_KEY=$(k -n {NAMESPACE} get secret shimmy-key-default -o jsonpath='{{.data.key}}' | base64 -d)
  curl -sN http://127.0.0.1:8000/v1/chat/completions -H "Authorization: Bearer $OPENAI_API_KEY" \\
    -d '{{"model":"{MODEL}","stream":true,"messages":[{{"role":"user","content":"Tell me a story."}}]}}'
  k -n {NAMESPACE} scale shimmyinstance/chat --replicas=2
  k -n {NAMESPACE} patch shimmyinstance chat --type=merge \\
    -p '{{"spec":{{"autoscaling":{{"minReplicas":0,"maxReplicas":2,"idleSeconds":30}}}}}}'  # then ask again in a minute
  hack/demo --down
""")


if __name__ == "__main__":
    main()
