"""Processes forked from a zygote, seen from a small program that makes one: nothing else may be running in it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="a zygote's forks change their parent, which is Linux's"
)

DEADLINE_S = 120.0

PROGRAM = """
import asyncio, json, os, signal, socket, sys, time
from pathlib import Path
from springtide.runtime.errors import Unavailable
from springtide.runtime.zygote import Zygote

folder = Path(sys.argv[1])
lock = (folder / "lock").open("w")

def main(words):
    if words[0] == "exit":
        return int(words[1])
    if words[0] == "print":
        sys.stdout = open(1, "w", closefd=False)  # buffered, whatever the environment says
        print("what nobody takes")
        return 3
    if words[0] == "fail":
        raise RuntimeError("a bug")
    if words[0] == "echo":
        os.write(0, os.read(0, 100).upper())
        return 0
    print(json.dumps({
        "words": words, "parent": os.getppid(), "session": os.getsid(0) == os.getpid(),
        "hang_up": signal.getsignal(signal.SIGHUP) == signal.SIG_DFL,
        "open": [fd for fd in range(3, 100) if os.path.exists(f"/proc/self/fd/{fd}")],
        "name": Path("/proc/self/comm").read_text().strip(),
    }), flush=True)
    signal.pause()

zygote = Zygote.make(main)

async def story():
STORY
    await zygote.close()

asyncio.run(story())
"""


def run(folder: Path, story: str) -> subprocess.CompletedProcess[str]:
    lines = "\n".join(f"    {line}" for line in story.strip().splitlines())
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("STORY", lines), str(folder)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def printed(folder: Path, story: str) -> str:
    result = run(folder, story)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_fork_is_a_child_of_the_maker_in_a_session_of_its_own_and_has_nothing_open(tmp_path: Path) -> None:
    out = printed(
        tmp_path,
        """
process = await zygote.fork(["part", "--port", "1"], log=folder / "log")
while not (folder / "log").exists() or not (folder / "log").read_text().endswith("\\n"):
    await asyncio.sleep(0.01)
told = json.loads((folder / "log").read_text())
told["parent"] = told["parent"] == os.getpid()
process.terminate()
print(json.dumps({**told, "ended": [await process.wait(), process.returncode]}))
""",
    )

    assert json.loads(out) == {
        "words": ["part", "--port", "1"],
        "parent": True,
        "session": True,
        "hang_up": True,
        "name": "part",
        "open": [],
        "ended": [-15, -15],
    }


@pytest.mark.parametrize(
    ("words", "status"),
    [
        pytest.param(["exit", "7"], 7, id="its status"),
        pytest.param(["fail"], 1, id="a bug, with a traceback in the log"),
    ],
)
def test_end_is_told_as_subprocess_tells_it(tmp_path: Path, words: list[str], status: int) -> None:
    out = printed(tmp_path, f"print(await (await zygote.fork({words!r}, log=folder / 'log')).wait())")

    assert out == f"{status}\n"
    assert ("RuntimeError: a bug" in (tmp_path / "log").read_text()) == (words == ["fail"])


def test_signal_that_comes_before_the_program_begins_is_not_lost(tmp_path: Path) -> None:
    out = printed(
        tmp_path,
        """
for _ in range(30):
    process = await zygote.fork(["part"], log=folder / "log")
    process.terminate()
    async with asyncio.timeout(60):
        print(await process.wait())
""",
    )

    assert out == "-15\n" * 30


def test_standard_input_may_be_a_socket(tmp_path: Path) -> None:
    out = printed(
        tmp_path,
        """
ours, theirs = socket.socketpair()
process = await zygote.fork(["echo"], log=folder / "log", stdin=theirs)
theirs.close()
ours.send(b"loud")
await process.wait()
print(ours.recv(100))
""",
    )

    assert out == "b'LOUD'\n"


def test_many_at_once_are_each_their_own(tmp_path: Path) -> None:
    out = printed(
        tmp_path,
        """
processes = await asyncio.gather(*(zygote.fork(["exit", str(n)], log=folder / "log") for n in range(20)))
print([await process.wait() for process in processes] == list(range(20)))
""",
    )

    assert out == "True\n"


def test_zygote_that_is_killed_takes_nobody_along_and_the_next_fork_says_so(tmp_path: Path) -> None:
    out = printed(
        tmp_path,
        """
process = await zygote.fork(["part"], log=folder / "log")
os.kill(zygote._pid, signal.SIGKILL)
for _ in range(2):
    try:
        await zygote.fork(["part"], log=folder / "log")
    except Unavailable as error:
        print(str(error).partition(":")[0])
print(process.returncode)
process.kill()
print(await process.wait())
""",
    )

    assert out.splitlines() == ["the zygote does not fork", "the zygote is gone", "None", "-9"]


def test_fork_dies_with_the_maker(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        """
process = await zygote.fork(["part"], log=folder / "log")
print(process.pid, zygote._pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""",
    )

    assert result.returncode == -signal.SIGKILL
    for pid in map(int, result.stdout.split()):
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([handle], [], [], DEADLINE_S)[0]
        finally:
            os.close(handle)


def test_orphan_of_a_child_is_reaped_at_the_second_look(tmp_path: Path) -> None:
    out = printed(
        tmp_path,
        """
first = os.fork()
if first == 0:
    if os.fork():
        os._exit(0)
    os._exit(5)
os.waitpid(first, 0)
ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
zygote.reap_strays()
print(os.path.exists(f"/proc/{ended.si_pid}"))
zygote.reap_strays()
print(os.path.exists(f"/proc/{ended.si_pid}"))
""",
    )

    assert out == "True\nFalse\n"


def test_there_is_none_beside_other_threads(tmp_path: Path) -> None:
    program = """
import threading
from springtide.runtime.zygote import Zygote
until = threading.Event()
threading.Thread(target=until.wait).start()
print(Zygote.make(lambda words: 0))
until.set()
"""
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=DEADLINE_S
    )

    assert out.stdout == "None\n"


def test_fork_whose_output_cannot_be_written_ends_with_its_status(tmp_path: Path) -> None:
    """It would go back into the zygote's own code."""
    out = printed(
        tmp_path,
        """
process = await zygote.fork(["print"], log=Path("/dev/full"))
print(await asyncio.wait_for(process.wait(), 10), flush=True)
""",
    )

    assert out == "3\n"
