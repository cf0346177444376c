"""The watchdog's own lines in the function's log, with the time in front as OpenFaaS's watchdogs have it."""

from __future__ import annotations

import sys
import time


def log(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y/%m/%d %H:%M:%S')} {text}\n")
    sys.stderr.flush()
