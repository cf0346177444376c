from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from springtide.wire.announced_connectors import Announcement, announced

URL = "http://127.0.0.1:8089"
KILLED = """
import asyncio, pathlib, sys
from springtide.wire.announced_connectors import Announcement
asyncio.run(Announcement(pathlib.Path(sys.argv[1]), lambda: "http://127.0.0.1:9").start())
print("there", flush=True)
sys.stdin.read()
"""


async def test_connector_is_known_from_its_start_to_its_stop(tmp_path: Path) -> None:
    folder = tmp_path / "connectors"
    before = announced(folder)
    announcement = Announcement(folder, lambda: URL)
    await announcement.start()
    while_it_lives = announced(folder)
    [told_prometheus] = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    await announcement.stop()
    await announcement.wait()

    assert (before, while_it_lives, announced(folder)) == ([], [URL], [])
    assert told_prometheus == [{"targets": ["127.0.0.1:8089"]}]
    assert list(folder.iterdir()) == []


def test_connector_that_was_killed_is_forgotten(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"there\n"
    while_it_lives = announced(tmp_path)
    process.kill()
    process.communicate()

    assert (while_it_lives, announced(tmp_path)) == (["http://127.0.0.1:9"], [])
    assert list(tmp_path.iterdir()) == []


async def test_connector_works_where_it_cannot_say_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    announcement = Announcement(tmp_path / "file", lambda: URL)

    await announcement.start()
    await announcement.stop()


def test_what_is_no_announcement_is_none(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "link.json").symlink_to("/etc/passwd")

    assert announced(tmp_path) == []


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff", b"[]", b'["a"]', b'[{"targets": []}]', b'{"targets": 7}', b"[" * 4000]
)
async def test_an_announcement_that_is_damaged_is_none(text: bytes, tmp_path: Path) -> None:
    announcement = Announcement(tmp_path, lambda: URL)
    await announcement.start()
    [file] = tmp_path.iterdir()
    file.write_bytes(text)

    assert announced(tmp_path) == []
    await announcement.stop()
