"""The soak, short: every kind of change under load, no call lost. ``make soak`` is the long one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.soak.run import SoakOptions, soak
from bench.soak.troubles import TROUBLES

SHORT = SoakOptions(functions=3, callers=3, think_s=0.05, pause_s=0.3, report_s=2.0, settle_s=0.0)


def test_no_call_is_lost_while_functions_change(tmp_path: Path) -> None:
    told: list[str] = []
    options = replace(SHORT, minutes=0.08, trouble_pause_s=None)

    account = soak(options, tmp_path, told.append)

    assert account.failures == [one for one in account.failures if one["verdict"].startswith("own replica killed")]
    assert account.problems == []
    assert account.good
    assert account.row["lost"] == 0
    assert account.row["calls"] > 30
    assert account.row["wakes"] > 0
    assert told


def test_no_call_is_lost_while_parts_are_in_trouble(tmp_path: Path) -> None:
    options = replace(SHORT, minutes=0.0, workers=2, trouble_pause_s=0.1, halt_s=1.0, full_disk_s=1.0)

    account = soak(options, tmp_path, lambda _: None)

    assert account.good, account.sections
    assert {name: account.row[name] for name in TROUBLES} == dict.fromkeys(TROUBLES, 1)
