"""The watchdog's own lines in the function's log, with the time in front as OpenFaaS's watchdogs have it."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback

LINE_BEGINS = b"\x1e\x1f"
"""Before each line: what a program wrote just before may lack its line end. Who keeps the log takes it out again."""


def log(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # whoever reads it is gone, or the function closed it
        sys.stderr.write(f"{LINE_BEGINS.decode()}{time.strftime('%Y/%m/%d %H:%M:%S')} {text}\n")
        sys.stderr.flush()


def log_exception(error: BaseException) -> None:
    """With its traceback."""
    log("".join(traceback.format_exception(type(error), error, error.__traceback__)).rstrip("\n"))
