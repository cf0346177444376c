"""Schedules on the command line, by a real gateway and a real cron part."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.cli.conftest import Api, serving

ZONE = "Asia/Kathmandu"
"""Its clocks are 5 h 45 min ahead of UTC, all year."""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with serving(tmp_path_factory.mktemp("served"), with_cron=True) as api:
        yield api


@pytest.fixture
def in_nepal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", ZONE)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def scheduled(springtide: Any, name: str, schedule: str) -> list[str]:
    """When it is due next, once the cron part has heard of it."""
    given = ("--annotation", "topic=cron-function", "--annotation", f"schedule={schedule}")
    assert springtide("deploy", name, "--fprocess", "cat", *given).status == 0
    while not (found := springtide("schedule", "next", name, "--count", "2", "--json")).out:
        assert "has no schedule" in found.err
    return [at for one in json.loads(found.out)["schedules"] for at in one["next"]]


@pytest.mark.usefixtures("in_nepal", "api")
def test_times_name_their_zone_and_are_rfc_3339_as_json(springtide: Any) -> None:
    due = scheduled(springtide, "report", "0 6 1 1 *")
    shown = springtide("schedule", "next", "report", "--count", "2").out.splitlines()
    listed = springtide("schedule", "list").out.splitlines()

    first = datetime.fromisoformat(due[0])
    assert due[0] == f"{first.year}-01-01T06:00:00.000Z"
    assert shown == [f"{first.year + more}-01-01 11:45:00+05:45  0 6 1 1 *" for more in (0, 1)]
    assert f"{first.year}-01-01 11:45:00+05:45" in listed[1]
    assert datetime.fromisoformat(shown[0].partition("  ")[0]) - first == timedelta(0)


@pytest.mark.usefixtures("api")
def test_explain_tells_what_triggers_a_function_and_what_of_it_is_not_known(springtide: Any) -> None:
    due = scheduled(springtide, "report", "0 6 1 1 *")
    springtide("schedule", "run", "report")
    told = springtide("explain", "report")
    triggers = json.loads(springtide("explain", "report", "--json").out)["triggers"]

    section = told.out.partition("What triggers it\n")[2].partition("\n\n")[0].splitlines()
    assert section[0].startswith("  Schedule 0 6 1 1 * (UTC): next at ")
    assert "queued (by hand)" in section[1]
    assert [one["next"][:2] for one in triggers["schedules"]["schedules"]] == [due]
    assert triggers["schedules"]["missing"] is None
    assert (triggers["events"]["events"], "connector_urls" in triggers["events"]["missing"]) == (None, True)
    assert triggers["prewarms"] == {"missing": None, "decisions": []}
