"""Which data of Prometheus and Alertmanager goes, by what they say as they end. Their words are those of real runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from springtide.cli.monitoring_data import mend_alertmanager, mend_prometheus

EOF = 'ts=2026-11-28T23:30:45.904Z caller=main.go:293 level=error err="unexpected EOF"'
WHOLE, BROKEN = b"\x02ab\x01c", b"\x7fab"
SUFFIX = ".damaged-20231114T221320Z"


def now() -> float:
    return 1_700_000_000.0


@pytest.mark.parametrize(
    ("nflog", "silences", "said", "gone"),
    [
        pytest.param(BROKEN, WHOLE, EOF, {"nflog"}, id="one is cut"),
        pytest.param(BROKEN, BROKEN, EOF, {"nflog", "silences"}, id="both are"),
        pytest.param(WHOLE, WHOLE, EOF, {"nflog", "silences"}, id="neither looks so"),
        pytest.param(b"\x80", WHOLE, EOF, {"nflog"}, id="a length is cut"),
        pytest.param(BROKEN, WHOLE, "level=error address already in use", set(), id="another reason"),
        pytest.param(BROKEN, WHOLE, "level=warn", set(), id="no error"),
    ],
)
def test_alertmanager_loses_what_is_damaged(
    tmp_path: Path, nflog: bytes, silences: bytes, said: str, gone: set[str]
) -> None:
    (tmp_path / "nflog").write_bytes(nflog)
    (tmp_path / "silences").write_bytes(silences)

    told = mend_alertmanager(tmp_path, said, now=now)

    assert {file.name.removesuffix(SUFFIX) for file in tmp_path.iterdir() if SUFFIX in file.name} == gone
    assert (told is not None) == bool(gone)


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        pytest.param("{}/chunks_head/000001: invalid magic number 6583dd9d", "data/chunks_head", id="a part is named"),
        pytest.param("invalid size", "data", id="no part is"),
        pytest.param("/etc/passwd: no", "data", id="what is elsewhere is not ours"),
    ],
)
def test_prometheus_loses_the_part_that_it_names(tmp_path: Path, said: str, gone: str) -> None:
    (tmp_path / "data" / "chunks_head").mkdir(parents=True)

    mend_prometheus(tmp_path / "data", f'err="opening storage failed: {said.format(tmp_path / "data")}"', now=now)

    assert (tmp_path / f"{gone}{SUFFIX}").is_dir()


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
def test_what_is_no_file_where_one_is_kept_is_set_aside(tmp_path: Path, make: Callable[[Path], None]) -> None:
    for name in ("silences", "lock", "queries.active"):
        make(tmp_path / name)

    told = [mend_alertmanager(tmp_path, "is a directory", now=now), mend_prometheus(tmp_path, "panic", now=now)]

    assert {path.name for path in tmp_path.iterdir()} == {
        name + SUFFIX for name in ("silences", "lock", "queries.active")
    }
    assert all(f"was set aside as {name}{SUFFIX}" in (told[0] or "") for name in ("silences",))
    assert all(f"was set aside as {name}{SUFFIX}" in (told[1] or "") for name in ("lock", "queries.active"))


def test_what_is_no_folder_where_one_is_kept_is_set_aside(tmp_path: Path) -> None:
    for name in ("wal", "chunks_head"):
        (tmp_path / name).write_text("no folder")

    assert mend_prometheus(tmp_path, "panic", now=now) is not None

    assert {path.name for path in tmp_path.iterdir()} == {f"wal{SUFFIX}", f"chunks_head{SUFFIX}"}


def test_prometheus_that_ends_for_another_reason_loses_nothing(tmp_path: Path) -> None:
    for said in ("level=error err=bind", 'err="opening storage failed: lock DB directory: resource unavailable"'):
        assert mend_prometheus(tmp_path, said, now=now) is None
