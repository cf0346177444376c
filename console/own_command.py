"""A command of this suite that works for the console, in a process of its own: neither pages nor the parts beside the
console wait for it. It ends when its deadline has passed, or nobody wants its answer any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Any

from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput, Unavailable

NICER = 10
"""What functions and gateways need goes first."""
MAX_SAID = 2000


async def answer(command: Sequence[str], *, deadline_s: float, told: bytes = b"", remedy: str) -> Any:
    """The JSON that it prints. ``told`` is what it reads; ``remedy`` what to do where it takes too long.

    Raises BadInput with what it says is wrong, or Unavailable.
    """
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise Unavailable(f"no process can be started for it: {error.strerror}") from error
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, NICER)
    try:
        async with asyncio.timeout(deadline_s):
            said, wrong = await process.communicate(told)
    except TimeoutError as error:
        raise Unavailable(f"it took longer than {deadline_s:g} s; {remedy}") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode != 0:
        text = wrong.decode(errors="replace").strip().removeprefix("springtide: ").removeprefix("--policy ")
        raise BadInput(text[-MAX_SAID:] or f"{command[-1]} ended with {process.returncode}")
    try:
        return bounded_json.loads(said)
    except ValueError as error:
        raise Unavailable("the answer of the command that works it out makes no sense") from error
