"""What counts as a change of a folder, and when."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from springtide.cli import folder_watch
from springtide.cli.commands import watching
from springtide.cli.folder_watch import Look, changes
from springtide.cli.stack import Entry
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import BadInput, NotFound
from springtide.scaler.core.vocabulary import FunctionRef


def seen(**sizes: int) -> dict[str, Look]:
    return {name: {"f": (0, size, 0)} for name, size in sizes.items()}


def test_a_change_is_told_once_it_is_over() -> None:
    looks = [seen(a=1, b=1), seen(a=2, b=1), seen(a=3, b=1), seen(a=3, b=1), seen(a=3, b=1), seen(a=3, b=1)]
    assert list(changes(iter(looks))) == [["a"]]


def test_what_is_taken_back_before_it_settles_is_no_change() -> None:
    assert list(changes(iter([seen(a=1), seen(a=2), seen(a=1), seen(a=1)]))) == []


def test_each_change_is_told_with_all_that_changed() -> None:
    looks = [seen(a=1, b=1), *[seen(a=2, b=2)] * 2, *[seen(a=2, b=3)] * 2, *[seen(a=1, b=3)] * 2]
    assert list(changes(iter(looks))) == [["a", "b"], ["b"], ["a"]]


def test_a_look_sees_what_a_deployment_copies(tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text("A")
    (tmp_path / "data").mkdir()
    before = folder_watch.look(tmp_path)
    for unseen in (".git", "__pycache__", "venv"):
        (tmp_path / unseen).mkdir()
        (tmp_path / unseen / "pyvenv.cfg").touch()
    assert folder_watch.look(tmp_path) == before
    (tmp_path / "data" / "new").touch()
    added = folder_watch.look(tmp_path)
    os.utime(tmp_path / "handler.py", (1, 1))
    touched = folder_watch.look(tmp_path)
    (tmp_path / "handler.py").chmod(0o755)
    looks = [before, added, touched, folder_watch.look(tmp_path), folder_watch.look(tmp_path / "gone")]
    assert all(one != other for one, other in itertools.pairwise(looks))


def test_only_functions_with_a_handler_are_watched() -> None:
    program = FunctionSpec(ref=FunctionRef("openfaas-fn", "fn"), image="any", env_process="cat")
    with pytest.raises(BadInput, match="none of the functions has the folder"):
        watching.handler_folders([Entry(program.ref, program), Entry(program.ref, None, ("wrong",))])


def test_what_goes_wrong_is_told_and_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise NotFound("there is no gateway")

    watching.attempt(fails)
    assert "there is no gateway" in capsys.readouterr().err
