"""The current folder that a replica makes for its handler."""

from __future__ import annotations

import os
from pathlib import Path

from springtide.watchdog.handler_loading import MAX_LINKS, linked_folder, made_folder, remove_left_folders


def handler(folder: Path) -> Path:
    made = folder / "handler"
    made.mkdir()
    for name in ("handler.py", "data.txt", "json.py"):
        (made / name).write_text(name)
    return made


def test_folder_has_the_handler_and_its_files_but_what_would_hide_a_standard_module(tmp_path: Path) -> None:
    folder = made_folder(handler(tmp_path), tmp_path / "work")

    assert sorted(entry.name for entry in folder.iterdir()) == [".packages", "data.txt", "function", "handler.py"]
    assert (folder / "function" / "json.py").read_text() == "json.py"
    assert [entry.name for entry in (folder / ".packages").iterdir()] == ["function"]


def test_folders_of_processes_that_are_gone_are_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    gone, alive = (tmp_path / f"replica-{pid}" for pid in (2**22 + 1, os.getppid()))
    gone.mkdir()
    alive.mkdir()

    remove_left_folders(tmp_path)

    assert (gone.exists(), alive.exists()) == (False, True)


def test_folder_of_an_earlier_process_with_the_same_number_is_made_anew(tmp_path: Path) -> None:
    source = handler(tmp_path)
    (made_folder(source, tmp_path) / "left.txt").touch()

    folder = made_folder(source, tmp_path)

    assert not (folder / "left.txt").exists()
    assert (folder / "function").is_symlink()


def test_folder_of_a_program_has_all_that_was_deployed_with_it(tmp_path: Path) -> None:
    folder = linked_folder(handler(tmp_path), tmp_path / "work")

    assert sorted(entry.name for entry in folder.iterdir()) == ["data.txt", "handler.py", "json.py"]


def test_program_with_very_many_files_runs_among_them(tmp_path: Path) -> None:
    source = handler(tmp_path)
    for number in range(MAX_LINKS):
        (source / str(number)).touch()

    assert linked_folder(source, tmp_path / "work") == source
