"""The watchdog's own lines in the function's log, with the time in front as OpenFaaS's watchdogs have it."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from pathlib import Path

LINE_BEGINS = b"\x1e\x1f"
"""Before each line: what a program wrote just before may lack its line end. Who keeps the log takes it out again."""


def log(text: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):  # its reader is gone, or it is closed
        sys.stderr.write(f"{LINE_BEGINS.decode()}{time.strftime('%Y/%m/%d %H:%M:%S')} {text}\n")
        sys.stderr.flush()


_OURS = str(Path(__file__).parent)


def log_exception(error: BaseException) -> None:
    """Its traceback, from the function's own code on: how it was called is not what its author looks for."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
        trace = trace.tb_next
    try:
        text = "".join(traceback.format_exception(type(error), error, trace))
    except Exception:  # noqa: BLE001 - of the function's own, which may raise whatever is asked of it
        text = f"{type(error).__name__}, which cannot be shown\n"
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(text)
        sys.stderr.flush()
