from __future__ import annotations

from pathlib import Path

import pytest

from springtide.provider.containers.engine.client import KeptImage
from springtide.provider.containers.image_use import GRACE_S, NOTHING, ImageUse, KeepRule

WEEK_S = 7 * 86400.0
WEEK = KeepRule(age_s=WEEK_S, most_bytes=None)
SMALL = KeepRule(age_s=None, most_bytes=150)
FOR_EVER = KeepRule(age_s=None, most_bytes=None)
SIZES = {"a": 100, "b": 100, "users": 100}


def image(name: str, *names: str) -> KeptImage:
    return KeptImage(id=name, size=100, names=frozenset(names))


THERE = [image("a", "a:1"), image("b"), image("users")]


@pytest.fixture
def use(tmp_path: Path) -> ImageUse:
    """The suite brought a at 0 s and b at 10 s; users is somebody else's."""
    made = ImageUse(tmp_path / "images.json")
    made.brought("a", ["a:1"], 0.0)
    made.brought("b", [], 10.0)
    return made


def test_what_nothing_names_goes_after_its_time(use: ImageUse) -> None:
    use.look(THERE, {"b"}, set(), 20.0)

    assert use.due(SIZES, WEEK, WEEK_S - 1) == []
    assert use.due(SIZES, WEEK, WEEK_S) == ["a"]


def test_time_begins_when_the_last_that_named_it_is_gone(use: ImageUse) -> None:
    use.look(THERE, {"a"}, set(), 1000.0)
    use.look(THERE, set(), set(), 2000.0)

    assert "a" not in use.due(SIZES, WEEK, 1999.0 + WEEK_S)
    assert "a" in use.due(SIZES, WEEK, 2000.0 + WEEK_S)


def test_time_begins_anew_when_it_is_asked_for(use: ImageUse) -> None:
    use.asked_for("a", 5000.0)

    assert use.due(SIZES, WEEK, 10.0 + WEEK_S) == ["b"]


def test_beyond_the_size_the_oldest_go_but_not_those_just_brought(use: ImageUse) -> None:
    assert use.due(SIZES, SMALL, GRACE_S - 1) == []
    assert use.due(SIZES, SMALL, GRACE_S) == ["a"]


def test_without_bounds_all_stay_and_at_the_end_all_go(use: ImageUse) -> None:
    use.look(THERE, {"b"}, set(), 20.0)

    assert use.due(SIZES, FOR_EVER, 1e12) == []
    assert use.due(SIZES, NOTHING, 20.0) == ["a"]


def test_what_was_made_here_is_known_even_when_the_file_is_lost(tmp_path: Path) -> None:
    use = ImageUse(tmp_path / "images.json")
    use.look(THERE, set(), {"b"}, 0.0)

    assert use.due(SIZES, WEEK, WEEK_S) == ["b"]


@pytest.mark.parametrize("names", [("a:1", "mine:1"), ("mine:1",)], ids=["one more", "another"])
def test_what_somebody_gave_a_name_is_theirs_for_good(use: ImageUse, tmp_path: Path, names: tuple[str, ...]) -> None:
    use.look([image("a", *names)], set(), set(), 20.0)

    assert use.due(SIZES, NOTHING, 1e12) == []
    assert "a" not in ImageUse(tmp_path / "images.json")


def test_what_lost_its_name_to_a_newer_one_goes(use: ImageUse) -> None:
    use.look([image("a")], set(), set(), 20.0)

    assert use.due(SIZES, NOTHING, 20.0) == ["a"]


def test_what_is_known_survives_a_restart_and_what_is_gone_does_not(use: ImageUse, tmp_path: Path) -> None:
    use.look([image("b")], set(), set(), 20.0)

    assert ImageUse(tmp_path / "images.json").due(SIZES, NOTHING, 20.0) == ["b"]


@pytest.mark.parametrize("text", ["{", "[]", '{"a": "x"}', '"a"', '{"a": {"names": 1, "unnamed_since": 0}}'])
def test_file_that_cannot_be_read_gives_nothing_away(tmp_path: Path, text: str) -> None:
    (tmp_path / "images.json").write_text(text)

    assert ImageUse(tmp_path / "images.json").due(SIZES, NOTHING, 1e12) == []
