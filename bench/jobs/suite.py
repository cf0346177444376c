"""The suite under test, which says itself where its parts are: they come and go."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from bench import rest
from springtide.runtime.basic_auth import Credentials


class Suite:
    """One that runs, by what it says of itself."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.secrets = state / "secrets"

    @property
    def told(self) -> dict[str, Any]:
        return dict(json.loads((self._state / "run.json").read_text()))

    @property
    def gateway_port(self) -> int:
        return int(self.told["gateway"].rpartition(":")[2])

    def pid(self, part: str) -> int:
        return int(self.told["parts"].get(part, 0))

    def client(self) -> httpx.AsyncClient:
        user = Credentials.from_folder(self.secrets)
        return httpx.AsyncClient(
            base_url=self.told["gateway"], auth=(user.user, user.password), timeout=30, trust_env=False
        )


@contextlib.contextmanager
def running(state: Path) -> Iterator[Suite]:
    """With a broker, without samples, and otherwise at its defaults; its settings are the environment's."""
    with rest.suite(state, (*rest.SPRINGTIDE, "up", "--state-dir", str(state), "--no-samples", "--nats-port", "0")):
        yield Suite(state)


async def put_to_sleep(client: httpx.AsyncClient, name: str) -> None:
    """As if a person had asked for it."""
    asked = {"serviceName": name, "replicas": 0}
    (await client.post(f"/system/scale-function/{name}", json=asked)).raise_for_status()
