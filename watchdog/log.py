"""The watchdog's own lines in the function's log, with the time in front as OpenFaaS's watchdogs have it."""

from __future__ import annotations

import contextlib
import sys
import time


def log(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # whoever reads it is gone, or the function closed it
        sys.stderr.write(f"{time.strftime('%Y/%m/%d %H:%M:%S')} {text}\n")
        sys.stderr.flush()
