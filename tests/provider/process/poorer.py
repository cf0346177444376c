"""A world on a machine that allows no namespaces: run as a program, for what it gives up it never gets back."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from springtide.provider.process import wall_probe
from springtide.scaler.core.label_table import ISOLATION
from springtide.watchdog import linux, seccomp
from tests.provider.process.hostile import ATTEMPTS
from tests.provider.process.world import World


async def story(folder: Path, attempt: str) -> None:
    secret = folder / "operators"
    secret.write_text("the password")
    given = {"path": str(secret)} if attempt == "read" else {"pid": os.getpid()}
    asked, told = {"attempt": attempt, "with": given}, dict[str, object]()
    async with World(folder) as world:
        for isolation in ("none", "sandbox"):
            address = await world.up(isolation, annotations=world.handler(ATTEMPTS), labels={ISOLATION: isolation})
            told[isolation] = (await world.http.post(address, json=asked)).json()
        mine = {"attempt": "write", "with": {"path": "mine"}}
        told["own"] = (await world.http.post(address, json=mine)).json()
        told["namespaces"] = wall_probe.probe_anywhere().walls.namespaces
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    linux.gain_no_privileges()
    seccomp.lay_on()
    asyncio.run(story(Path(sys.argv[1]), sys.argv[2]))
