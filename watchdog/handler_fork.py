"""The classic python3 template: a process for each call, whose standard output is the answer.

The template starts a Python for each call, which imports the handler. Here each call is a fork of the replica, which
has imported the libraries that the handler imports, and nothing of the handler's own: that is imported by each call
anew, so that what it does when it is imported (it may read ``Http_Query``, connect, or start threads) it does there.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import importlib
import inspect
import io
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from . import handler_loading
from .ended_process import end_process
from .log import log, log_exception

MAX_TRIAL_S = 60
"""For importing the handler once, to learn which libraries it imports."""


class ForkedCall:
    """One call's process: its standard input and output, as ``subprocess.Popen`` has them."""

    def __init__(self, folder: Path, env: Mapping[str, str], *, merge_errors: bool) -> None:
        """Raises OSError when there can be no process."""
        with contextlib.ExitStack() as undo:
            input_read, input_write = _pipe(undo)
            output_read, output_write = _pipe(undo)
            sys.stdout.flush()
            sys.stderr.flush()
            self.pid = os.fork()
            if not self.pid:
                _become_call(folder, env, input_read, output_write, merge_errors=merge_errors)
            undo.pop_all()
        os.close(input_read)
        os.close(output_write)
        self.stdin: BinaryIO | None = open(input_write, "wb", buffering=0)  # noqa: PTH123, SIM115 - closed by the user
        self.stdout: BinaryIO | None = open(output_read, "rb", buffering=0)  # noqa: PTH123, SIM115 - likewise

    def wait(self) -> int:
        """Collect it. Its exit status, negative for a signal."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def import_libraries(folder: Path) -> None:
    """What the handler imports beyond its own folder, so that calls need not.

    Raises ImportError for a handler that can never be imported; its traceback is in the log then.
    """
    handler_loading.prepare(folder)
    found, told = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(found)
        _try_import(folder, told)
    os.close(told)
    with open(found, "rb") as pipe:  # noqa: PTH123 - a descriptor
        names = pipe.read()
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    if os.waitstatus_to_exitcode(status) == 1:
        raise ImportError(f"{folder / 'handler.py'} cannot be imported")
    for name in json.loads(names or b"[]"):
        with contextlib.suppress(Exception):  # It may want to be imported by another first.
            importlib.import_module(name)


def _try_import(folder: Path, told: int) -> NoReturn:
    """In a process of its own: import the handler once and tell the names of the libraries. Status 1: never again."""
    status = 0
    try:
        os.setsid()
        signal.alarm(MAX_TRIAL_S)
        before = set(sys.modules)
        try:
            handler_loading.handle_of(folder)
        except (ImportError, SyntaxError, TypeError) as error:
            log_exception(error)
            status = 1
        except BaseException as error:  # noqa: BLE001 - the function's own code
            log(f"handler.py raised {type(error).__name__} when it was imported without a call; each call imports it")
        os.write(
            told, json.dumps([name for name in sys.modules if name not in before and _foreign(name, folder)]).encode()
        )
    finally:
        os._exit(status)


def _foreign(name: str, folder: Path) -> bool:
    file = getattr(sys.modules[name], "__file__", None)
    return name.partition(".")[0] != handler_loading.PACKAGE and not str(file or "").startswith(f"{folder}{os.sep}")


def _become_call(folder: Path, env: Mapping[str, str], stdin: int, stdout: int, *, merge_errors: bool) -> NoReturn:
    """Never returns into the replica's code."""
    try:
        os.setsid()
        os.dup2(stdin, 0)
        os.dup2(stdout, 1)
        if merge_errors:
            os.dup2(stdout, 2)
            faulthandler.disable()  # Of a crash the answer has what the system says of it, no more.
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.environ.clear()
        os.environ.update(env)
        _open_streams()
        result = handler_loading.handle_of(folder)(sys.stdin.read())
        if inspect.isawaitable(result):
            result = asyncio.run(_value(result))
        if result is not None:
            print(result)  # noqa: T201 - that is how the answer is given
    except BaseException as error:  # noqa: BLE001 - the function's own code may raise anything
        end_process(error)
    end_process(None)


def _open_streams() -> None:
    """As Python opens them in the locale C.UTF-8 of its container images: bytes that are no text pass unharmed."""
    unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    sys.stdin = io.TextIOWrapper(open(0, "rb"), "utf-8", "surrogateescape")  # noqa: SIM115 - a descriptor
    output = open(1, "wb")  # noqa: SIM115 - a descriptor, and open to the end
    sys.stdout = io.TextIOWrapper(output, "utf-8", "surrogateescape", write_through=unbuffered)
    errors = open(2, "wb")  # noqa: SIM115 - likewise
    sys.stderr = io.TextIOWrapper(errors, "utf-8", "backslashreplace", line_buffering=True)


async def _value(result: Any) -> Any:
    return await result


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    undo.callback(os.close, read)
    undo.callback(os.close, write)
    return read, write
