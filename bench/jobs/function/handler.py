"""Notes the beginning and the end of each execution, each on disk before it goes on, and answers as the job asks."""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import time
from pathlib import Path
from typing import Any


class Ledger:
    """A file of this process."""

    def __init__(self) -> None:
        path = Path(os.environ["LEDGER"]) / f"{os.getpid()}-{secrets.token_hex(4)}.ndjson"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, **values: Any) -> None:
        os.write(self._file, json.dumps({"at": time.time(), **values}).encode() + b"\n")
        os.fsync(self._file)


_ledgers: list[Ledger] = []


async def handle(event: Any, _: Any) -> dict[str, Any]:
    """``work_s``: how long it takes; ``fails``: how probable a 500 is."""
    if not _ledgers:
        _ledgers.append(Ledger())
    ledger, asked, execution = _ledgers[0], json.loads(event.body), secrets.token_hex(8)
    job = {"execution": execution, "number": asked["number"], "job": event.headers["x-springtide-job-id"]}
    ledger.note(what="start", **job)
    await asyncio.sleep(asked["work_s"])
    status = 500 if random.random() < asked["fails"] else 200
    ledger.note(what="end", status=status, **job)
    return {"statusCode": status, "body": str(asked["number"])}
