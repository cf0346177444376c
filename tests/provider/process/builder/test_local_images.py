"""Names of what was built: found again after a restart, bounded, and none of them an end of the start."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from springtide.provider.process import local_images
from springtide.provider.process.local_images import LocalImage, LocalImages, check_name, file_name

MADE = LocalImage(
    name="ttl.sh/me/fn:1",
    code="c0de",
    environment="e17",
    lang="node20",
    command="node index.js",
    said="node index.js",
    variables={"mode": "http"},
    built_at=12.5,
)


def opened(folder: Path) -> LocalImages:
    images = LocalImages(folder / "images")
    images.open(0)
    return images


def test_what_was_built_is_found_again_after_a_restart(tmp_path: Path) -> None:
    opened(tmp_path).put(MADE, deployed=())

    assert opened(tmp_path).find("ttl.sh/me/fn:1") == MADE


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("fn", True),
        ("fn:latest", True),
        ("docker.io/fn:latest", True),
        ("docker.io/library/fn", True),
        ("fn:other", False),
        ("registry:5000/fn", False),
        ("fn@sha256:0000", False),
    ],
)
def test_a_name_without_a_tag_is_the_latest(tmp_path: Path, asked: str, found: bool) -> None:
    images = opened(tmp_path)
    images.put(replace(MADE, name=check_name("fn")), deployed=())

    assert (images.find(asked) is not None) is found


def test_the_oldest_that_no_function_has_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_images, "MAX_IMAGES", 3)
    images = opened(tmp_path)
    for number in range(5):
        images.put(replace(MADE, name=f"fn:{number}", built_at=number), deployed=["fn:0"])

    assert [number for number in range(5) if opened(tmp_path).find(f"fn:{number}")] == [0, 3, 4]


def test_what_no_function_has_goes_after_a_month(tmp_path: Path) -> None:
    images = opened(tmp_path)
    for number, days in enumerate((0, 0, 1, 31)):
        images.put(replace(MADE, name=f"fn:{number}", built_at=days * 86_400.0), deployed=["fn:0"])

    assert [number for number in range(4) if opened(tmp_path).find(f"fn:{number}")] == [0, 2, 3]


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    opened(tmp_path).put(MADE, deployed=())
    file = tmp_path / "images" / file_name(MADE.name)
    good = json.loads(file.read_text())
    for damage in ("", "[]", "{}", json.dumps(good | {"code": 1}), json.dumps(good | {"name": "other:1"})):
        file.write_text(damage)

        assert opened(tmp_path).find(MADE.name) is None
        assert not file.exists()
        (aside,) = (tmp_path / "images").glob("*.damaged-*")
        aside.unlink()
