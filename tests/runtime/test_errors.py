from __future__ import annotations

import re
from pathlib import Path

import pytest

from springtide.runtime import errors
from springtide.runtime.errors import (
    HTTP_STATUS,
    BadInput,
    SpringtideError,
    Unavailable,
    error_for_status,
    kind_and_reason_of,
    reason_of,
    status_of,
)
from springtide.runtime.settings import SettingsError

FOLDERS = [path for path in sorted((Path(__file__).parents[2] / "src" / "springtide").iterdir()) if path.is_dir()]


@pytest.mark.parametrize(("kind", "status"), HTTP_STATUS.items(), ids=lambda value: getattr(value, "__name__", value))
def test_error_and_status_are_each_others(kind: type[SpringtideError], status: int) -> None:
    assert status_of(kind("x")) == status
    assert error_for_status(status) is kind


def test_every_error_has_a_status_of_its_own() -> None:
    kinds = {
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, SpringtideError) and value is not SpringtideError
    }

    assert kinds == set(HTTP_STATUS)
    assert len(set(HTTP_STATUS.values())) == len(HTTP_STATUS)


def test_error_derived_from_a_known_one_has_its_status() -> None:
    assert status_of(SettingsError(["x"])) == HTTP_STATUS[BadInput] == 400


def test_error_the_table_does_not_name_is_ours_to_blame() -> None:
    assert status_of(SpringtideError("x")) == 500


@pytest.mark.parametrize("status", [302, 418, 500, 502, 504])
def test_status_nobody_agreed_on_means_the_other_side_is_unavailable(status: int) -> None:
    assert error_for_status(status) is Unavailable


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(ValueError("no such key"), "no such key", id="it says something"),
        pytest.param(TimeoutError(), "TimeoutError", id="it says nothing"),
    ],
)
def test_reason_of_an_error_is_never_empty(error: Exception, words: str) -> None:
    assert reason_of(error) == words


def test_kind_of_an_error_is_not_followed_by_nothing() -> None:
    assert kind_and_reason_of(ValueError("no such key")) == "ValueError: no such key"
    assert kind_and_reason_of(TimeoutError()) == "TimeoutError"


def test_no_source_takes_an_exception_for_false() -> None:
    """``error or …`` is the error, whose text may be empty, and so may be what follows its kind and a colon."""
    taken = re.compile(r"\b(?:error|exc|exception) or \b|__name__\}: \{(?:error|exc|exception)\}")
    sources = [source for folder in FOLDERS for source in folder.rglob("*.py")]
    assert len(sources) > 300

    assert [str(source) for source in sources if taken.search(source.read_text())] == []
