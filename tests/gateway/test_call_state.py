"""The table of a call's states: what it allows, that the code goes by it, and that the drawing is the table."""

from __future__ import annotations

import re
from pathlib import Path

from springtide.gateway import call
from springtide.gateway.call_state import TRANSITIONS, CallEvent, CallState

ROOT = Path(__file__).parents[2]


def test_every_event_has_transitions_and_every_state_can_be_reached() -> None:
    reached = {CallState.ROUTING}
    for _ in CallState:
        reached |= {after for moves in TRANSITIONS.values() for before, after in moves.items() if before in reached}

    assert set(TRANSITIONS) == set(CallEvent)
    assert reached == set(CallState)


def test_nothing_follows_the_end_and_every_state_may_end() -> None:
    assert all(CallState.FINISHED not in moves for moves in TRANSITIONS.values())
    assert set(TRANSITIONS[CallEvent.FINISH]) == set(CallState) - {CallState.FINISHED}


def test_a_call_changes_its_state_by_the_table_only() -> None:
    source = Path(call.__file__).read_text()
    assigned = re.findall(r"self\.state = (.+)", source)

    assert assigned.pop(0) == "_NEW"
    assert {text.removesuffix("[self.state]") for text in assigned} == {f"_{event.name}" for event in CallEvent}


def test_the_diagram_in_the_architecture_is_the_table() -> None:
    moves = [
        f"    {before.name} --> {after.name}: {event.name.lower()}"
        for event, ways in TRANSITIONS.items()
        for before, after in ways.items()
    ]
    drawn = "\n".join(["stateDiagram-v2", f"    [*] --> {CallState.ROUTING.name}", *moves])

    assert f"```mermaid\n{drawn}\n```" in (ROOT / "ARCHITECTURE.md").read_text()
