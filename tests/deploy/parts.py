"""Parts as processes, as their pods would run them: with the environment and the rights that the manifests give."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deploy.rendering import Object
from tests.deploy.installations import containers, environment, named, rendered
from tests.free_ports import free_port
from tests.kubernetes.emulator import ThreadedEmulator

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
CREDENTIALS = ("admin", "secret")


@dataclass(frozen=True)
class Permission:
    """One permission, as a role grants it or a request takes it."""

    verb: str
    group: str
    resource: str


@dataclass(frozen=True)
class Running:
    """``http`` asks it; ``log`` is what it wrote."""

    http: httpx.Client
    log: Path
    process: subprocess.Popen[bytes]


def account(part: str) -> str:
    return f"system:serviceaccount:openfaas:{part}"


def granted(installation: str, part: str) -> set[Permission]:
    """By all roles that are bound to the part's account."""
    manifests = rendered(installation)
    bound = {
        (one["roleRef"]["kind"], one["metadata"].get("namespace"), one["roleRef"]["name"])
        for one in manifests
        if one["kind"].endswith("RoleBinding") and part in [subject["name"] for subject in one["subjects"]]
    }
    return {
        Permission(verb, group, resource)
        for role in manifests
        if (role["kind"], role["metadata"].get("namespace"), role["metadata"]["name"]) in bound
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def used(emulator: ThreadedEmulator, part: str) -> set[Permission]:
    """What it took so far. An apply that made an object needed ``create`` as well, says the real API server."""

    def asked(inner: Any) -> set[Permission]:
        log, found = inner.requests, set()
        for access in log.used_by(account(part)):
            resource = f"{access.resource}/{access.subresource}" if access.subresource else access.resource
            found.add(Permission(access.verb, access.group, resource))
            if access.verb == "patch" and log.count(
                verb="patch", resource=access.resource, group=access.group, status=201
            ):
                found.add(Permission("create", access.group, resource))
        return found

    return emulator.do(asked)


def refused(emulator: ThreadedEmulator) -> int:
    return emulator.do(lambda inner: inner.requests.count(status=403))


@contextlib.contextmanager
def running(
    emulator: ThreadedEmulator, installation: str, part: str, folder: Path, more: Mapping[str, str]
) -> Iterator[Running]:
    """Serving when entered, ended when left. ``more`` has what differs from the pod, such as addresses."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    for name, text in zip(("basic-auth-user", "basic-auth-password"), CREDENTIALS, strict=True):
        (folder / name).write_text(text)
    emulator.do(lambda inner: inner.access.grant(rendered(installation), token=part, user=account(part)))
    emulator.do(lambda inner: inner.write_kubeconfig(folder / "kubeconfig", token=part))
    container = containers(named(installation, "Deployment", part))[0]
    given = _told(container, port) | {
        "secret_mount_path": str(folder),
        "KUBECONFIG": str(folder / "kubeconfig"),
        "PATH": os.environ["PATH"],
        **more,
    }
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "springtide.cli", *container["args"]],
            cwd=ROOT,
            env=given,
            stdout=output,
            stderr=output,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=CREDENTIALS, timeout=60, trust_env=False) as http:
            _wait_until_serving(http, process, log)
            yield Running(http, log, process)
    finally:
        process.terminate()
        process.wait(120)


def _told(container: Object, port: int) -> dict[str, str]:
    """The pod's environment, listening on this machine alone."""
    given = environment(container)
    return {
        name: "127.0.0.1" if name.endswith("host") else str(port) if name.endswith("port") else value
        for name, value in given.items()
    }


def _wait_until_serving(http: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(httpx.HTTPError):
            if http.get("/healthz").status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError(log.read_text())
