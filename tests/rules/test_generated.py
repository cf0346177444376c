from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from springtide.rules import __main__ as rules_command
from springtide.rules.generated_files import drift, write


def test_committed_rule_files_are_what_the_source_gives() -> None:
    result = CliRunner().invoke(rules_command.main, ["--check"])

    assert result.output == ""
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("present", "drifted"),
    [
        pytest.param({"a.yml": "1", "b.yml": "2"}, [], id="the same"),
        pytest.param({"a.yml": "1", "b.yml": "3"}, ["b.yml"], id="edited by hand"),
        pytest.param({"a.yml": "1"}, ["b.yml"], id="one missing"),
        pytest.param({"a.yml": "1", "b.yml": "2", "c.yml": ""}, ["c.yml"], id="one left over"),
    ],
)
def test_drift_names_the_files_that_differ_and_write_removes_it(
    tmp_path: Path, present: dict[str, str], drifted: list[str]
) -> None:
    for name, text in present.items():
        (tmp_path / name).write_text(text)
    files = {"a.yml": "1", "b.yml": "2"}

    before = drift(tmp_path, files)
    write(tmp_path, files)

    assert before == drifted
    assert drift(tmp_path, files) == []


def test_drift_of_a_missing_folder_is_every_file(tmp_path: Path) -> None:
    assert drift(tmp_path / "nowhere", {"a.yml": "1"}) == ["a.yml"]
