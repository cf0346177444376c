"""The soak of asynchronous calls, short: every part is killed, no accepted job is lost, none is run again for nothing.

``python -m bench jobs`` is the long one.
"""

from __future__ import annotations

from pathlib import Path

from bench.jobs.run import JobsOptions, soak
from bench.jobs.troubles import PARTS
from springtide.cli.tools import Tools

SHORT = JobsOptions(
    jobs=600, functions=6, posters=4, think_s=0.2, kill_pause_s=2.0, change_pause_s=2.0, min_kills=len(PARTS)
)


def test_no_job_is_lost_while_every_part_is_killed(tools: Tools, tmp_path: Path) -> None:
    account = soak(SHORT, tmp_path, lambda _: None)

    assert account.problems == []
    assert account.row["accepted"] > 0
    assert account.row["never_executed"] == 0
    assert {kill.part for kill in account.kills} == set(PARTS)
    assert account.row["dead_letters"] > 0
