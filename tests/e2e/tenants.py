"""Tenants beside the demo's, and who may come in."""

import json
from typing import Any

import httpx
import yaml

from devkit.demo.fleet import TENANT, Fleet
from shimmy_api import names


def write_tenant(fleet: Fleet, name: str, *keys: str) -> str:
    """Write a tenant with these keys and wait until it is ready; its namespace."""
    manifest = {
        "apiVersion": "shimmy.dev/v1alpha1",
        "kind": "ShimmyTenant",
        "metadata": {"name": name},
        "spec": {"keys": [{"name": key} for key in keys]},
    }
    fleet.kubectl.apply(yaml.safe_dump(manifest))
    fleet.kubectl.wait_ready("shimmytenant", name)
    return names.tenant_namespace(name)


def change_demo(fleet: Fleet, **spec: Any) -> None:
    """Change fields of the demo tenant's spec and wait until it is ready again."""
    fleet.kubectl.run("patch", "shimmytenant", TENANT, "--type=merge", "-p", json.dumps({"spec": spec}))
    fleet.kubectl.wait_ready("shimmytenant", TENANT)


def status(url: str, credential: str) -> int:
    """What the router answers to this key or token when it asks for the models; 0 where nobody answers."""
    try:
        return httpx.get(f"{url}/models", headers={"authorization": f"Bearer {credential}"}).status_code
    except httpx.TransportError:
        return 0
