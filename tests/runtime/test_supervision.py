"""Supervision of real processes."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from springtide.runtime import child_process
from springtide.runtime.backoff import RESTART
from springtide.runtime.child_process import Child, Member
from springtide.runtime.errors import Unavailable
from springtide.runtime.part_reports import Event, Happening
from springtide.runtime.supervision import Supervisor
from tests.provider.process import world

DEADLINE_S = 120.0

WORKS = """
import pathlib, signal, sys, threading
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
def journal(line):
    with (folder / "journal").open("a") as file:
        file.write(line + "\\n")
def stop(*_):
    journal("stop " + name)
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
journal("start " + name)
(folder / name).touch()
threading.Event().wait()
"""
WORKS_UNLESS_BROKEN = (
    """
import pathlib, sys
if (pathlib.Path(sys.argv[2]) / "broken").exists():
    sys.exit(3)
"""
    + WORKS
)
FAILS = "import sys; print('no such port', file=sys.stderr); sys.exit(7)"
IGNORES_TERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)" + WORKS.replace(
    "signal.signal(signal.SIGTERM, stop)", ""
)


class Events:
    """What a supervisor reported, and a way to wait for more."""

    def __init__(self) -> None:
        self.all: list[Event] = []
        self._more = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.all.append(event)
        self._more.set()

    async def until(self, what: Happening, *, count: int = 1) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while len([event for event in self.all if event.what is what]) < count:
                self._more.clear()
                await self._more.wait()


def exists(path: Path) -> Callable[[], Awaitable[bool]]:
    async def probe() -> bool:
        return path.exists()

    return probe


def child(folder: Path, name: str, script: str = WORKS, **options: Any) -> Child:
    arguments: dict[str, Any] = {"ready": exists(folder / name), "log": folder / f"{name}.log", **options}
    return Child(name=name, command=(sys.executable, "-IS", "-c", script, name, str(folder)), **arguments)


def journal(folder: Path) -> list[str]:
    return (folder / "journal").read_text().splitlines()


async def test_stages_start_in_order_and_stop_in_reverse_with_the_public_one_first(tmp_path: Path) -> None:
    stages = [
        [child(tmp_path, "ground")],
        [child(tmp_path, "door", stops_first=True)],
        [child(tmp_path, "top")],
    ]
    supervisor = Supervisor(stages, report=Events())
    await supervisor.start()
    await supervisor.stop()

    assert journal(tmp_path) == ["start ground", "start door", "start top", "stop door", "stop top", "stop ground"]


async def test_child_that_dies_is_started_again_and_said_so(tmp_path: Path) -> None:
    events = []

    heard = Events()
    supervisor = Supervisor([[child(tmp_path, "part")]], report=heard)
    await supervisor.start()
    first = supervisor.pids()["part"]
    (tmp_path / "part").unlink()
    os.kill(first, signal.SIGKILL)
    await heard.until(Happening.READY, count=2)
    second = supervisor.pids()["part"]
    await supervisor.stop()
    events.extend(heard.all)

    assert first != second
    assert [event.what for event in events] == [
        Happening.READY,
        Happening.DIED,
        Happening.READY,
        Happening.STOPPED,
    ]
    assert events[1].detail == "ended (SIGKILL); starting again in 0.1 s"


async def test_child_that_keeps_dying_is_started_at_growing_intervals(tmp_path: Path) -> None:
    heard = Events()
    supervisor = Supervisor([[child(tmp_path, "part", WORKS_UNLESS_BROKEN)]], report=heard)
    await supervisor.start()
    (tmp_path / "broken").touch()
    (tmp_path / "part").unlink()
    os.kill(supervisor.pids()["part"], signal.SIGKILL)
    await heard.until(Happening.FAILED, count=2)
    await supervisor.stop()
    assert [event.detail for event in heard.all if event.what in (Happening.DIED, Happening.FAILED)][:3] == [
        "ended (SIGKILL); starting again in 0.1 s",
        "ended while starting (exit code 3); starting again in 0.2 s",
        "ended while starting (exit code 3); starting again in 0.4 s",
    ]


@pytest.mark.parametrize(
    ("failures", "delay_s"),
    [
        pytest.param(1, 0.1, id="first"),
        pytest.param(2, 0.2, id="doubles"),
        pytest.param(8, 12.8, id="still doubling"),
        pytest.param(9, 15.0, id="capped"),
    ],
)
def test_restart_delay_doubles_up_to_its_cap(failures: int, delay_s: float) -> None:
    assert RESTART.delay_s(failures) == pytest.approx(delay_s)


async def test_child_that_fails_at_start_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "part.log").write_text("a line of the last run\n")

    async def story() -> None:
        supervisor = Supervisor([[child(tmp_path, "part", FAILS, ready=exists(tmp_path / "never"))]], report=Events())
        try:
            await supervisor.start()
        finally:
            await supervisor.stop()

    with pytest.raises(Unavailable) as caught:
        await story()
    assert str(caught.value) == "part ended while starting (exit code 7): no such port"


async def test_child_that_is_not_vital_is_tried_again_and_so_is_what_could_be_mended(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()

    def mend(said: str) -> str:
        (tmp_path / "broken").unlink()
        return f"mended, {len(said)} characters were said"

    heard = Events()
    optional = child(tmp_path, "part", WORKS_UNLESS_BROKEN, vital=False, mend=mend)
    supervisor = Supervisor([[optional], [child(tmp_path, "other")]], report=heard)
    await supervisor.start()
    await heard.until(Happening.READY, count=2)
    await supervisor.stop()

    assert [event.detail for event in heard.all if event.what is Happening.FAILED] == [
        "ended while starting (exit code 3); mended, 0 characters were said; starting again in 0.1 s"
    ]


async def test_child_that_is_never_ready_is_stopped_and_reported(tmp_path: Path) -> None:
    never = child(tmp_path, "part", ready=exists(tmp_path / "never"), ready_within_s=0.5)
    supervisor = Supervisor([[never]], report=Events())
    with pytest.raises(Unavailable, match=r"part was not ready within 0\.5 s"):
        await supervisor.start()
    assert supervisor.pids() == {}


async def test_missing_program_is_one_sentence(tmp_path: Path) -> None:
    async def story() -> None:
        missing = Child(
            name="part", command=("/no/such/program",), log=tmp_path / "log", ready=exists(tmp_path / "never")
        )
        await Supervisor([[missing]], report=Events()).start()

    with pytest.raises(Unavailable, match="part cannot be started"):
        await story()


async def test_child_that_ignores_the_request_to_stop_is_killed(tmp_path: Path) -> None:
    heard = Events()
    stubborn = child(tmp_path, "part", IGNORES_TERM, grace_s=0.2)
    supervisor = Supervisor([[stubborn]], report=heard)
    await supervisor.start()
    await supervisor.stop()
    assert [event.what for event in heard.all] == [Happening.READY, Happening.KILLED]


MEMBERS = """
import asyncio, pathlib, socket, sys, time
from springtide.runtime.part_reports import Event, Happening, Reporter
reporter = Reporter(socket.socket(fileno=0))
folder = pathlib.Path(sys.argv[2])
async def main():
    beats = asyncio.create_task(reporter.beat())
    for name in ("one", "two"):
        refused = (folder / f"{name} refuses").exists()
        reporter.tell(Event(name, Happening.FAILED if refused else Happening.READY, "no port" if refused else "ready"))
    await asyncio.sleep(0)
    if (folder / "blocks").exists():
        (folder / "blocks").unlink()
        time.sleep(60)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def of_members(folder: Path, **options: Any) -> Child:
    members = tuple(Member(name, folder / f"{name}.log") for name in ("one", "two"))
    command = (sys.executable, "-c", MEMBERS, "process", str(folder))
    return replace(child(folder, "process", members=members, ready=None, **options), command=command)


async def test_members_of_a_child_are_told_of_one_by_one(tmp_path: Path) -> None:
    heard = Events()
    supervisor = Supervisor([[of_members(tmp_path)]], report=heard)
    await supervisor.start()
    first = supervisor.pids()
    os.kill(first["one"], signal.SIGKILL)
    await heard.until(Happening.READY, count=4)
    second = supervisor.pids()
    await supervisor.stop()
    events = heard.all

    assert set(first) == set(second) == {"one", "two"}
    assert set(first.values()).isdisjoint(second.values())
    assert [(event.child, event.detail) for event in events if event.what is Happening.READY][:2] == [
        ("one", f"ready (process {first['one']})"),
        ("two", f"ready (process {first['two']})"),
    ]
    assert [(event.child, event.detail) for event in events if event.what is Happening.DIED] == [
        ("one", "ended (SIGKILL); starting again in 0.1 s"),
        ("two", "ended (SIGKILL); starting again in 0.1 s"),
    ]


async def test_member_that_fails_at_the_first_start_is_said_by_name(tmp_path: Path) -> None:
    (tmp_path / "two refuses").touch()

    supervisor = Supervisor([[of_members(tmp_path)]], report=Events())
    with pytest.raises(Unavailable, match=r"^two no port$"):
        await supervisor.start()
    assert supervisor.pids() == {}


async def test_child_whose_event_loop_is_blocked_is_killed_and_started_again(tmp_path: Path) -> None:
    (tmp_path / "blocks").touch()

    heard = Events()
    supervisor = Supervisor([[of_members(tmp_path, hung_after_s=0.5)]], report=heard)
    await supervisor.start()
    await heard.until(Happening.READY, count=4)
    await supervisor.stop()
    assert [event.detail for event in heard.all if event.what is Happening.DIED][:2] == [
        "hung for 0.5 s and was killed; starting again in 0.1 s"
    ] * 2


async def test_child_that_is_stopped_is_killed_and_started_again(tmp_path: Path) -> None:
    """SIGTERM would wait for it to go on; what it was doing is lost, as when it dies."""
    pids: list[int] = []

    async def alive() -> bool:
        state = Path(f"/proc/{pids[-1]}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "T"

    heard = Events()
    supervisor = Supervisor([[child(tmp_path, "part", alive=alive, hung_after_s=0.5)]], report=heard)
    await supervisor.start()
    pids.append(supervisor.pids()["part"])
    os.kill(pids[0], signal.SIGSTOP)
    await heard.until(Happening.DIED)
    (tmp_path / "part").unlink()
    await heard.until(Happening.READY, count=2)
    second = supervisor.pids()["part"]
    await supervisor.stop()

    assert second != pids[0]
    assert [event.detail for event in heard.all if event.what is Happening.DIED] == [
        "hung for 0.5 s and was killed; starting again in 0.1 s"
    ]


async def test_child_has_its_own_session(tmp_path: Path) -> None:
    supervisor = Supervisor([[child(tmp_path, "part")]], report=Events())
    await supervisor.start()
    pid = supervisor.pids()["part"]
    session = os.getsid(pid)
    await supervisor.stop()

    assert session == pid


SUPERVISES = """
import asyncio, sys, pathlib
from springtide.runtime.child_process import Child
from springtide.runtime.supervision import Supervisor
folder = pathlib.Path(sys.argv[1])
def child(name):
    async def ready():
        return (folder / name).exists()
    command = (sys.executable, "-IS", "-c", sys.argv[2], name, str(folder))
    return Child(name=name, command=command, log=folder / "log", ready=ready)
async def main():
    supervisor = Supervisor([[child("one")], [child("two")]], report=lambda event: None)
    await supervisor.start()
    print(*supervisor.pids().values(), flush=True)
    await supervisor.wait()
asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills children with their parent")
def test_killed_supervisor_leaves_no_child_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SUPERVISES, str(tmp_path), IGNORES_TERM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        handles = [os.pidfd_open(int(pid)) for pid in supervisor.stdout.readline().split()]

        supervisor.kill()

        try:
            assert len(handles) == 2
            for handle in handles:
                assert select.select([handle], [], [], DEADLINE_S)[0], "a child outlived its supervisor"
        finally:
            for handle in handles:
                os.close(handle)


def test_log_is_bounded_and_its_end_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    with log.open("ab") as writer:
        writer.write(b"x" * child_process.MAX_LOG_BYTES + b"last words\n")
        writer.flush()

        child_process.trim(log)
        writer.write(b"first words\n")

    kept = (tmp_path / "part.log.1").read_bytes()
    assert log.read_bytes() == b"first words\n"
    assert len(kept) == child_process.KEPT_LOG_BYTES
    assert kept.endswith(b"last words\n")


def test_log_is_bounded_where_its_end_cannot_be_kept(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_bytes(b"x" * (child_process.MAX_LOG_BYTES + 1))
    (tmp_path / "part.log.1").mkdir()  # takes no more than a full disk does

    child_process.trim(log)

    assert log.stat().st_size == 0


def test_small_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_bytes(b"few words\n")

    child_process.trim(log)

    assert log.read_bytes() == b"few words\n"
    assert not (tmp_path / "part.log.1").exists()


def test_tail_gives_the_last_lines_since_a_place(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_text("old\none\ntwo\nthree\n")

    assert child_process.tail(log, since=4, lines=2) == "two\nthree"
    assert child_process.tail(log, since=4) == "one\ntwo\nthree"
    assert child_process.tail(tmp_path / "none.log") == ""


async def test_who_is_waited_for_at_a_stop_is_told_with_the_time_it_has(tmp_path: Path) -> None:
    told: list[tuple[list[str], float]] = []
    stages = [[child(tmp_path, "quick")], [child(tmp_path, "stubborn", IGNORES_TERM, grace_s=1.5)]]
    supervisor = Supervisor(stages, report=Events(), waiting=lambda names, most_s: told.append(([*names], most_s)))
    await supervisor.start()

    await supervisor.stop()

    assert told == [(["stubborn"], 0.5)]


HAS_CHILD = """
import pathlib, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
folder = pathlib.Path(sys.argv[2])
below = subprocess.Popen(["sleep", "1000"], start_new_session=True)
(folder / "below").write_text(str(below.pid))
(folder / sys.argv[1]).touch()
while True:
    signal.pause()
"""


async def test_hurried_stop_kills_who_is_waited_for_and_what_is_below(tmp_path: Path) -> None:
    heard, rest = Events(), []
    stubborn = child(tmp_path, "part", HAS_CHILD, grace_s=1000.0, end_rest=lambda: rest.append("ended"))
    supervisor = Supervisor(
        [[child(tmp_path, "ground")], [stubborn]], report=heard, waiting=lambda *_: supervisor.hurry()
    )
    await supervisor.start()
    below = int((tmp_path / "below").read_text())

    await supervisor.stop()

    assert {(event.child, event.what, event.detail) for event in heard.all if event.what is Happening.KILLED} >= {
        ("part", Happening.KILLED, "was killed")
    }
    assert rest == ["ended"]
    async with asyncio.timeout(DEADLINE_S):
        while world.alive(below):  # noqa: ASYNC110 - whoever takes up orphans here may take a moment to collect it
            await asyncio.sleep(0.01)
