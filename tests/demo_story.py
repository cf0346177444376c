"""What the demo has to tell, wherever functions run."""

from __future__ import annotations

import json
import subprocess
from typing import Any

DEMO_S = 300.0


def counts(events: list[dict[str, Any]], reason: str) -> list[tuple[int, int]]:
    return [(e["before"], e["after"]) for e in events if e["reason"] == reason and e["before"] != e["after"]]


def check_whole_story(result: subprocess.CompletedProcess[str]) -> None:
    """Of ``springtide demo --json``."""
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.returncode == 0, result.stdout + result.stderr
    assert all({"t", "function", "before", "after", "reason"} <= event.keys() for event in events)
    assert counts(events, "alert_firing") == [(1, 5), (5, 9), (9, 13), (13, 17), (17, 20)]
    assert counts(events, "alert_resolved") == [(20, 16), (16, 12), (12, 8), (8, 4), (4, 1)]
    assert counts(events, "idle") == [(1, 0)]
    assert counts(events, "wake") == [(0, 1)]
    followed = [e for e in events if "-scaler-" in e["function"] and e["before"] != e["after"] != 0]
    assert {e["writer"] for e in followed if e["before"]} == {"scaler"}
    assert followed[-1]["after"] == 1
