"""Notes each event that it is called for, on disk before it answers."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

_files: list[int] = []


def handle(event: Any, _: Any) -> str:
    if not _files:
        path = Path(os.environ["LEDGER"]) / f"{os.getpid()}-{secrets.token_hex(4)}"
        _files.append(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    body = event.body if isinstance(event.body, bytes) else event.body.encode()
    os.write(_files[0], body + b"\n")
    return ""
