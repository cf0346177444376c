"""Versions of code: what is copied, what is not, and when it goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from springtide.provider.process import code_store
from springtide.provider.process.code_store import CodeStore
from springtide.runtime.errors import BadInput


@pytest.fixture
def store(tmp_path: Path) -> CodeStore:
    store = CodeStore(tmp_path / "code")
    store.open()
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "handler"
    (folder / "data").mkdir(parents=True)
    (folder / "handler.py").write_text("A = 1\n")
    (folder / "data" / "table.csv").write_text("1,2\n")
    return folder


def test_a_version_stays_what_it_was(store: CodeStore, folder: Path) -> None:
    version = store.add(folder)
    (folder / "handler.py").write_text("A = 2\n")
    assert (store.path(version) / "handler.py").read_text() == "A = 1\n"
    assert (store.path(version) / "data" / "table.csv").read_text() == "1,2\n"
    assert store.add(folder) != version


def test_the_same_content_is_the_same_version_wherever_it_is(store: CodeStore, folder: Path, tmp_path: Path) -> None:
    folder.rename(tmp_path / "elsewhere")
    first = store.add(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "__pycache__").mkdir()
    (tmp_path / "elsewhere" / ".git").mkdir()
    (tmp_path / "elsewhere" / ".venv").mkdir()
    (tmp_path / "elsewhere" / ".venv" / "pyvenv.cfg").touch()
    os.utime(tmp_path / "elsewhere" / "handler.py", (1, 1))
    assert store.add(tmp_path / "elsewhere") == first
    assert sorted(path.name for path in store.path(first).iterdir()) == ["__pycache__", "data", "handler.py"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda folder: (folder / "handler.py").chmod(0o755), "what may be run"),
        (lambda folder: (folder / "handler.py").rename(folder / "other.py"), "names"),
        (lambda folder: (folder / "empty").mkdir(), "folders"),
        (lambda folder: (folder / "link").symlink_to("handler.py"), "links"),
    ],
)
def test_everything_that_a_replica_sees_makes_the_version(store: CodeStore, folder: Path, change, what: str) -> None:  # type: ignore[no-untyped-def]
    before = store.add(folder)
    change(folder)
    assert store.add(folder) != before, what


def test_nothing_of_a_version_can_be_written_but_compiled_code(store: CodeStore, folder: Path) -> None:
    path = store.path(store.add(folder))
    modes = {each.relative_to(path).as_posix(): each.stat().st_mode & 0o222 for each in [path, *path.rglob("*")]}
    assert [name for name, writable in modes.items() if writable] == ["__pycache__"]


def test_links_lead_to_the_copy_or_are_refused(store: CodeStore, folder: Path, tmp_path: Path) -> None:
    (folder / "data" / "code.py").symlink_to(folder / "handler.py")
    copy = store.path(store.add(folder)) / "data" / "code.py"
    assert copy.resolve() == copy.parent.parent.resolve() / "handler.py"
    (folder / "out").symlink_to("/etc/passwd")
    with pytest.raises(BadInput, match="/etc/passwd, out of the folder"):
        store.add(folder)
    (folder / "out").unlink()
    (folder / "out").symlink_to("data/../../code")
    with pytest.raises(BadInput, match="out of the folder"):
        store.add(folder)
    assert not list((tmp_path / "code").glob(".new-*"))


@pytest.mark.parametrize(("bound", "words"), [("MAX_ENTRIES", "2 files"), ("MAX_BYTES", "MiB"), ("MAX_DEPTH", "2 fol")])
def test_too_much_is_refused(
    store: CodeStore, folder: Path, monkeypatch: pytest.MonkeyPatch, bound: str, words: str
) -> None:
    (folder / "data" / "deep" / "deeper").mkdir(parents=True)
    monkeypatch.setattr(code_store, bound, 2)
    with pytest.raises(BadInput, match=words):
        store.add(folder)


def test_what_nothing_refers_to_goes_after_a_grace(store: CodeStore, folder: Path) -> None:
    kept = store.add(folder)
    (folder / "handler.py").write_text("A = 2\n")
    dropped = store.add(folder)
    assert store.prune({kept}) == []
    assert store.prune({kept}, grace_s=0) == [dropped]
    assert store.path(kept).is_dir()
    with pytest.raises(BadInput, match="deploy the function again"):
        store.path(dropped)


def test_a_copy_that_was_broken_off_is_cleared_up(store: CodeStore, tmp_path: Path) -> None:
    (tmp_path / "code" / ".new-left" / "inner").mkdir(parents=True)
    (tmp_path / "code" / ".new-left" / "inner").chmod(0o500)
    store.open()
    assert list((tmp_path / "code").iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", ".new-x", "a/b", "gone"])
def test_only_versions_have_a_path(store: CodeStore, name: str) -> None:
    with pytest.raises(BadInput, match="deploy the function again"):
        store.path(name)
