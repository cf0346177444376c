"""A process held by its descriptor."""

from __future__ import annotations

import signal
import subprocess

import pytest

from springtide.watchdog.processes import ProcessHandle


def started(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command)


@pytest.mark.parametrize(
    ("command", "status"),
    [
        pytest.param(["sh", "-c", "exit 3"], 3, id="exits"),
        pytest.param(["sh", "-c", "kill -TERM $$"], -signal.SIGTERM, id="is killed"),
    ],
)
async def test_end_is_told_before_the_process_is_collected(command: list[str], status: int) -> None:
    told: list[str] = []
    process = started(command)
    handle = ProcessHandle(process.pid, lambda: told.append("ended"))
    await handle.ended()
    found = handle.exit_status()
    handle.close()
    handle.close()
    assert process.wait() == found  # It was still there to be collected.
    assert (told, found) == (["ended"], status)


async def test_signal_reaches_the_process_and_nobody_once_it_is_collected() -> None:
    process = started(["sleep", "60"])
    handle = ProcessHandle(process.pid)
    handle.send_signal(signal.SIGKILL)
    await handle.ended()
    status = process.wait()
    with pytest.raises(ProcessLookupError):
        handle.send_signal(signal.SIGKILL)
    handle.close()
    assert status == -signal.SIGKILL


async def test_process_that_is_gone_cannot_be_held() -> None:
    process = started(["true"])
    process.wait()
    with pytest.raises(ProcessLookupError):
        ProcessHandle(process.pid)
