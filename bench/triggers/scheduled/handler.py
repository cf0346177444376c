"""Answers after a moment; with ``SLOW_START`` its import takes so many seconds, as that of a large library does."""

from __future__ import annotations

import os
import time
from typing import Any

time.sleep(float(os.environ.get("SLOW_START", "0")))


def handle(_event: Any, _context: Any) -> str:
    time.sleep(0.1)
    return "done"
