from __future__ import annotations

import io
import json
import re

import pytest
from rich.console import Console

from springtide.cli.top.rows import SORTS, Row, Snapshot, latest, ordered, to_json
from springtide.cli.top.screen import Order, room, screen
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer
from springtide.wire.function_rates import FunctionRates

NOW = 1_000_000.0


def ref(name: str, namespace: str = "openfaas-fn") -> FunctionRef:
    return FunctionRef(namespace, name)


def decision(name: str, before: int, after: int, reason: Reason, *, age_s: float = 10) -> Decision:
    at = Instant(NOW - age_s)
    return Decision(ref=ref(name), writer=Writer.ALERT, before=before, after=after, reason=reason, detail="", at=at)


BUSY = Row(
    ref=ref("busy"),
    desired=5,
    ready=3,
    measures=FunctionRates(rate=120.5, in_flight=7, held=2, p95_s=0.25, error_share=0.031),
    last=decision("busy", 1, 5, Reason.ALERT_FIRING, age_s=45),
)
SLOW = Row(
    ref=ref("slow"),
    desired=1,
    ready=1,
    measures=FunctionRates(rate=0.5, in_flight=9, held=0, p95_s=2.5, error_share=0.0),
    last=decision("slow", 1, 1, Reason.AT_MAX, age_s=5),
)
BROKEN = Row(ref=ref("broken", "other"), desired=1, ready=0, problem="it crashed")
ROWS = (BROKEN, SLOW, BUSY)


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        pytest.param("name", ["busy", "slow", "broken"], id="by namespace and name"),
        pytest.param("replicas", ["busy", "slow", "broken"], id="equals by name"),
        pytest.param("rate", ["busy", "slow", "broken"], id="rate, not known last"),
        pytest.param("flight", ["slow", "busy", "broken"], id="in flight"),
        pytest.param("held", ["busy", "slow", "broken"], id="held"),
        pytest.param("p95", ["slow", "busy", "broken"], id="latency"),
        pytest.param("errors", ["busy", "slow", "broken"], id="errors"),
        pytest.param("decision", ["slow", "busy", "broken"], id="the newest decision first"),
    ],
)
def test_the_most_comes_first(sort: str, names: list[str]) -> None:
    assert [row.ref.name for row in ordered(ROWS, sort)] == names
    assert sort in SORTS


@pytest.mark.parametrize(
    ("known", "told", "last"),
    [
        pytest.param([], [(1, 1), (1, 5)], (1, 5), id="a change"),
        pytest.param([], [(1, 5), (5, 5)], (1, 5), id="a hold does not hide a change"),
        pytest.param([(1, 5)], [(5, 5)], (1, 5), id="nor one that was known"),
        pytest.param([(1, 5)], [(5, 1)], (5, 1), id="a later change"),
        pytest.param([(1, 1)], [(2, 2)], (2, 2), id="a later hold where nothing changed yet"),
    ],
)
def test_last_decision_is_the_last_change_or_else_the_last_hold(
    known: list[tuple[int, int]], told: list[tuple[int, int]], last: tuple[int, int]
) -> None:
    before = latest({}, [decision("f", *one, Reason.MANUAL) for one in known])

    after = latest(before, [decision("f", *one, Reason.MANUAL) for one in told])[ref("f")]

    assert (after.before, after.after) == last


def drawn(width: int, *, rows: tuple[Row, ...] = ROWS, order: Order | None = None, height: int = 24) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, height=height)
    look = Snapshot(NOW, "http://gw", rows, ("no rates: they cannot be reached",))
    console.print(screen(look, console, order or Order("rate"), ordered(rows, "rate")))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def cells(line: str) -> str:
    """Columns with one blank between them, blanks within them as underscores."""
    return " ".join(part.replace(" ", "_") for part in re.split(r"\s{2,}", line))


def test_wide_screen_shows_everything() -> None:
    lines = drawn(120)

    assert lines[0].startswith("http://gw  ")
    assert lines[0].endswith("3 functions, 3 awake, 121.0 calls/s")
    assert lines[1] == "no rates: they cannot be reached"
    assert cells(lines[2]) == "FUNCTION READY RATE/s↓ FLIGHT HELD P95 ERR_% OWNER,_LOAD/TARGET LAST_DECISION"
    assert cells(lines[3]) == "busy 3/5 120.5 7 2 250_ms 3.1 Alerts 1→5_alert_firing,_45_s_ago"
    assert cells(lines[4]) == "slow 1/1 0.5 9 0 2.5_s 0.0 Alerts kept_1_at_max,_5_s_ago"
    assert cells(lines[5]) == "broken.other 0/1! – – – – – Alerts –"


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        pytest.param(96, "FUNCTION READY RATE/s↓ FLIGHT HELD P95 ERR_% LAST_DECISION", id="just wide enough"),
        pytest.param(80, "FUNCTION READY RATE/s↓ FLIGHT P95 LAST_DECISION", id="a usual terminal"),
        pytest.param(50, "FUNCTION READY RATE/s↓ P95", id="half of it"),
        pytest.param(35, "FUNCTION READY RATE/s↓", id="a phone"),
        pytest.param(25, "FUNCTION READY", id="hardly anything"),
    ],
)
def test_narrow_screen_shows_what_matters_most(width: int, columns: str) -> None:
    lines = drawn(width)

    assert cells(lines[2]) == columns
    assert max(map(len, lines)) <= width


def test_small_screen_shows_those_there_is_room_for_and_says_so() -> None:
    rows = tuple(Row(ref=ref(f"f-{number:02}"), desired=0, ready=0) for number in range(30))
    console = Console(file=io.StringIO(), width=80, height=12)
    most = room(console, Snapshot(NOW, "http://gw", rows, ("a note",)))

    lines = drawn(80, rows=rows, order=Order("rate", most), height=12)

    assert lines[-1] == f"… and {30 - most} more"
    assert len(lines) < 12


def test_gateway_without_functions_says_so() -> None:
    assert drawn(80, rows=())[-1] == "No functions."


def test_json_says_null_for_what_is_not_known() -> None:
    value = json.loads(json.dumps(to_json(Snapshot(NOW, "http://gw", (BROKEN, BUSY)))))

    broken, busy = value["functions"]
    assert (value["t"], value["gateway"], value["notes"]) == (NOW, "http://gw", [])
    assert broken == {
        "function": "broken",
        "namespace": "other",
        "desired": 1,
        "ready": 0,
        "problem": "it crashed",
        "owner": "alert",
        "loads": [],
        "rate": None,
        "errors": None,
        "error_share": None,
        "p95_s": None,
        "in_flight": None,
        "held": None,
        "last_decision": None,
    }
    assert (busy["rate"], busy["last_decision"]["reason"]) == (120.5, "alert_firing")
