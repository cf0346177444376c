"""The end of a process that was forked for a handler, or by one: as Python ends when its main program is over."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import NoReturn

from .log import log_exception


def end_process(error: BaseException | None) -> NoReturn:
    """With the status that Python would end with; waits for threads and runs what is registered for the end."""
    status = _status(error)
    try:
        _run_ends()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except BaseException as late:  # noqa: BLE001 - the function's own code; and its output may be closed
        status = status or 120
        log_exception(late)
    finally:
        os._exit(status)


def _status(error: BaseException | None) -> int:
    if error is None:
        return 0
    if not isinstance(error, SystemExit):
        log_exception(error)
        return 1
    if error.code is None or isinstance(error.code, int):
        return (error.code or 0) & 0xFF
    sys.stderr.write(f"{error.code}\n")
    return 1


def _run_ends() -> None:
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
