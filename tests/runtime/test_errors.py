from __future__ import annotations

import pytest

from springtide.runtime import errors
from springtide.runtime.errors import HTTP_STATUS, BadInput, SpringtideError, Unavailable, error_for_status, status_of
from springtide.runtime.settings import SettingsError


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
