"""The soak, short: every kind of change under load, no call lost. ``make soak`` is the long one."""

from __future__ import annotations

from pathlib import Path

from bench.soak.run import SoakOptions, soak


def test_no_call_is_lost_while_functions_change(tmp_path: Path) -> None:
    told: list[str] = []
    options = SoakOptions(minutes=0.08, functions=3, callers=3, think_s=0.05, pause_s=0.3, report_s=2.0, settle_s=0.0)

    account = soak(options, tmp_path, told.append)

    assert account.failures == [one for one in account.failures if one["verdict"].startswith("own replica killed")]
    assert account.problems == []
    assert account.good
    assert account.row["lost"] == 0
    assert account.row["calls"] > 100
    assert account.row["wakes"] > 0
    assert told
