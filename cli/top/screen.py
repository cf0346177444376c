"""A look as a table that fits the terminal: the narrower it is, the fewer columns; what matters most goes last."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from springtide.cli.terminal_text import one_line
from springtide.cli.top.rows import Row, Snapshot
from springtide.scaler.core import explain
from springtide.scaler.core.explain import ago
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE

UNKNOWN = "–"
NAME_WIDTH, DECISION_WIDTH = 16, 24
"""Narrower than this, other columns make room."""

OWNER, SLEEPS = "OWNER, LOAD/TARGET", "SLEEPS"

GAP = 2
"""Blanks between two columns."""

AROUND = 4
"""Lines of a screen that are not functions."""


@dataclass(frozen=True, slots=True)
class Column:
    """``rank`` is the order in which columns are given up: the highest first; 0 stays for ever."""

    title: str
    sort: str
    width: int
    rank: int
    cell: Callable[[Row, float], Text]


@dataclass(frozen=True, slots=True)
class Order:
    """What is sorted by, and the functions there are room for; None shows all."""

    sort: str
    max_rows: int | None = None


def screen(look: Snapshot, console: Console, order: Order, rows: Sequence[Row]) -> Group:
    """``rows`` are the look's, ordered."""
    columns = _fitting(console.width, sleep=any(row.sleep is not None for row in rows))
    table = Table(box=None, pad_edge=False, expand=False, header_style="bold")
    for column in columns:
        marked = f"{column.title}↓" if column.sort == order.sort and order.sort != "name" else column.title
        text = column.title in ("FUNCTION", SLEEPS, OWNER, "LAST DECISION")
        table.add_column(marked, justify="left" if text else "right", no_wrap=True, overflow="ellipsis")
    shown = rows if order.max_rows is None else rows[: order.max_rows]
    for row in shown:
        table.add_row(*(column.cell(row, look.at) for column in columns))
    lines = [
        _title(look),
        *(Text(one_line(note), style="yellow", no_wrap=True, overflow="ellipsis") for note in look.notes),
    ]
    below = [] if len(shown) == len(rows) else [Text(f"… and {len(rows) - len(shown)} more", style="dim")]
    body: list[Table | Text] = [table] if rows else [Text("No functions.")]
    return Group(*lines, *body, *below)


def room(console: Console, look: Snapshot) -> int:
    """Functions that fit on the screen."""
    return max(1, console.height - AROUND - len(look.notes))


def _title(look: Snapshot) -> Text:
    awake = sum(1 for row in look.rows if row.desired)
    rates = [row.measures.rate for row in look.rows if row.measures.rate is not None]
    rate = f"{sum(rates):.1f} calls/s" if rates else "calls/s not known"
    at = time.strftime("%H:%M:%S", time.localtime(look.at))
    return Text(
        f"{one_line(look.gateway)}  {at}  {len(look.rows)} functions, {awake} awake, {rate}",
        no_wrap=True,
        overflow="ellipsis",
    )


def _fitting(width: int, *, sleep: bool) -> list[Column]:
    """``sleep``: of some function that is learned."""
    columns = [column for column in _COLUMNS if sleep or column.title != SLEEPS]
    while sum(column.width + GAP for column in columns) - GAP > width and any(column.rank for column in columns):
        columns.remove(max(columns, key=lambda column: column.rank))
    return columns


def _function(row: Row, _: float) -> Text:
    return Text(one_line(row.ref) if row.ref.namespace != DEFAULT_NAMESPACE else one_line(row.ref.name))


def _replicas(row: Row, _: float) -> Text:
    style = "red" if row.problem else "dim" if not row.desired else "yellow" if row.ready < row.desired else "green"
    return Text(f"{row.ready}/{row.desired}{'!' if row.problem else ''}", style=style)


def _errors(row: Row, _: float) -> Text:
    share = row.measures.error_share
    return Text(UNKNOWN if share is None else f"{share * 100:.1f}", style="red" if share else "")


def _p95(row: Row, _: float) -> Text:
    seconds = row.measures.p95_s
    if seconds is None:
        return Text(UNKNOWN)
    return Text(f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.1f} s")


def _decision(row: Row, now: float) -> Text:
    last = row.last
    if last is None:
        return Text(UNKNOWN)
    what = f"{last.before}→{last.after}" if last.changes else f"kept {last.after}"
    return Text(f"{what} {last.reason}, {ago(now - last.at)}")


def _rate(row: Row, _: float) -> Text:
    rate = row.measures.rate
    return Text(UNKNOWN if rate is None else f"{rate:.1f}")


def _in_flight(row: Row, _: float) -> Text:
    return Text(_whole(row.measures.in_flight))


def _held(row: Row, _: float) -> Text:
    return Text(_whole(row.measures.held), style="yellow" if row.measures.held else "")


def _owner(row: Row, _: float) -> Text:
    """Of several loads the one that needs most; its target is that of all ready replicas together."""
    badge = explain.badge(row.owner)
    if not row.loads or not row.ready:
        return Text(badge)
    load = max(row.loads, key=lambda each: each.share)
    value = UNKNOWN if load.value is None else f"{load.value:.3g}"
    style = "yellow" if load.share > row.ready or load.value is None else ""
    return Text(f"{badge} {one_line(load.name)} {value}/{load.target * row.ready:.4g}", style=style)


def _sleep(row: Row, now: float) -> Text:
    return Text(row.sleep.said(now) if row.sleep is not None else "")


def _whole(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.0f}"


_COLUMNS = (
    Column("FUNCTION", "name", NAME_WIDTH, 0, _function),
    Column("READY", "replicas", 7, 0, _replicas),
    Column("RATE/s", "rate", 7, 1, _rate),
    Column("FLIGHT", "flight", 7, 3, _in_flight),
    Column("HELD", "held", 5, 6, _held),
    Column("P95", "p95", 7, 2, _p95),
    Column("ERR %", "errors", 6, 5, _errors),
    Column(SLEEPS, "", 12, 7, _sleep),
    Column(OWNER, "", 20, 8, _owner),
    Column("LAST DECISION", "decision", DECISION_WIDTH, 4, _decision),
)
