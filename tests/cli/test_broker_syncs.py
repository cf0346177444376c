"""Acknowledged means on disk: what the server asks of the kernel, and in which order, traced by strace."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.suite_broker import DEADLINE_S, Broker, eventually, suite_broker

MESSAGES = 20


@contextmanager
def traced(broker: Broker, trace: Path) -> Iterator[subprocess.Popen[str]]:
    """Skips where strace is not installed, or may not look at another process."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    calls = "--trace=pwrite64,fsync,fdatasync,write,writev"
    strace = subprocess.Popen(
        ["strace", "-f", "-s", "200", calls, "--output", str(trace), "--attach", str(broker.pid)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert strace.stderr is not None
        if "attached" not in (said := strace.stderr.readline()):
            pytest.skip(f"strace may not look: {said}")
        yield strace
    finally:
        if strace.poll() is None:
            strace.terminate()
        strace.communicate(timeout=DEADLINE_S)


async def traced_calls(broker: Broker, trace: Path) -> list[str]:
    """Of MESSAGES publishes, one after the other: "write" of the message, "sync", "ack"."""
    await broker.start()
    await broker.publish(1)
    with traced(broker, trace):
        async with broker.client() as client:
            stream = client.jetstream()
            for number in range(MESSAGES):
                await stream.publish("of.job.traced", f"traced {number}".encode())

            async def seen() -> bool:
                return events(trace).count("ack") >= MESSAGES

            await eventually(seen)
    return events(trace)


def events(trace: Path) -> list[str]:
    """A sync counts when it is over: of one during which another call came, when it is resumed."""
    found = []
    for line in trace.read_text(errors="replace").splitlines():
        if "pwrite64(" in line and "of.job.traced" in line:
            found.append("write")
        elif re.search(r"\b(fsync|fdatasync)\b", line) and "unfinished" not in line:
            found.append("sync")
        elif re.search(r"\bwritev?\(", line) and '{\\"stream\\":\\"OF_jobs\\"' in line:
            found.append("ack")
    return found


async def test_each_message_is_synced_before_it_is_acknowledged(tmp_path: Path) -> None:
    with suite_broker(tmp_path / "nats") as broker:
        happened = await traced_calls(broker, tmp_path / "trace")

    assert happened.count("write") == MESSAGES
    assert happened == ["write", "sync", "ack"] * MESSAGES


async def test_sync_now_and_then_is_none_before_an_acknowledgement(tmp_path: Path) -> None:
    with suite_broker(tmp_path / "nats", sync_every_s=3600) as broker:
        happened = await traced_calls(broker, tmp_path / "trace")

    assert happened == ["write", "ack"] * MESSAGES
