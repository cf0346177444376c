from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from springtide.runtime.processes import ProcessHandle, readable, set_process_name

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfd and prctl are Linux's")


async def _ended(handle: ProcessHandle) -> None:
    async with asyncio.timeout(60):
        await handle.wait()
    handle.close()


def test_handle_tells_the_end_of_the_process_it_killed() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        handle = ProcessHandle(process.pid)

        handle.send_signal(signal.SIGKILL)
        asyncio.run(_ended(handle))

    assert process.returncode == -signal.SIGKILL


def test_signal_to_a_process_that_is_gone_reaches_nobody() -> None:
    process = subprocess.Popen(["true"])
    handle = ProcessHandle(process.pid)
    process.wait()

    handle.send_signal(signal.SIGKILL)
    handle.close()
    handle.send_signal(signal.SIGKILL)

    assert repr(handle) == f"<ProcessHandle {process.pid} closed>"


def test_handle_of_a_process_that_is_gone_cannot_be_had() -> None:
    process = subprocess.Popen(["true"])
    process.wait()

    with pytest.raises(ProcessLookupError):
        ProcessHandle(process.pid)


def test_handle_takes_over_a_descriptor_and_closes_it() -> None:
    descriptor = os.pidfd_open(os.getpid())
    handle = ProcessHandle(os.getpid(), descriptor)

    handle.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


async def test_readable_waits_for_data() -> None:
    async def main() -> bytes:
        source, sink = os.pipe()
        try:
            waiting = asyncio.create_task(readable(source))
            await asyncio.sleep(0)
            assert not waiting.done()
            os.write(sink, b"x")
            async with asyncio.timeout(60):
                await waiting
            return os.read(source, 1)
        finally:
            os.close(source)
            os.close(sink)

    assert await main() == b"x"


def test_name_is_what_ps_shows(tmp_path: Path) -> None:
    told = tmp_path / "comm"
    pid = os.fork()
    if pid == 0:
        set_process_name("a name longer than fifteen bytes")
        told.write_bytes(Path("/proc/self/comm").read_bytes())
        os._exit(0)
    os.waitpid(pid, 0)

    assert told.read_text() == "a name longer t\n"


DIES_WITH_PARENT = """
import os, signal, sys, time
from springtide.runtime.processes import die_with_parent
if os.fork() == 0:
    die_with_parent(signal.SIGTERM)
    os.write(1, b"%d\\n" % os.getpid())
    time.sleep(60)
else:
    sys.stdin.read()
"""


def test_child_that_asked_for_it_ends_with_its_parent() -> None:
    command = [sys.executable, "-c", DIES_WITH_PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        child = ProcessHandle(int(parent.stdout.readline()))

        parent.stdin.close()

        asyncio.run(_ended(child))
