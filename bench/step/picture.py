"""Counts over time as one SVG, a panel for each course, all on the same scales."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from bench.step.run import Course, Moment

WIDTH, PANEL, LEFT, TOP, BELOW = 900, 180, 48, 34, 40
PLOT = WIDTH - LEFT - 16
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#333}.title{font-weight:600}.grid{stroke:#ddd}"
    ".calls{fill:#8885}.wanted,.ready{fill:none;stroke-width:2}.wanted{stroke:#b3541e;stroke-dasharray:5 3}"
    ".ready{stroke:#0a7d6c}"
)
KEY = (("calls", "calls in flight"), ("wanted", "replicas wanted"), ("ready", "replicas ready"))


def picture(courses: Sequence[Course]) -> str:
    """Grey is what was in flight, of which a replica takes one at a time."""
    seconds = max(moment.t for course in courses for moment in course.moments)
    most = max(max(each.in_flight, each.wanted) for course in courses for each in course.moments)
    height = TOP + len(courses) * (PANEL + BELOW)
    panels = "".join(
        _panel(course, TOP + place * (PANEL + BELOW), seconds, float(most)) for place, course in enumerate(courses)
    )
    told = "; ".join(_title(course) for course in courses)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(told)}"><style>{STYLE}</style>'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>{_key()}{panels}</svg>\n'
    )


def _key() -> str:
    items = []
    for place, (name, text) in enumerate(KEY):
        x = LEFT + place * 150
        mark = f'<rect class="calls" x="{x}" y="6" width="22" height="10"/>'
        line = f'<path class="{name}" d="M{x} 11h22"/>'
        items.append(f'{mark if name == "calls" else line}<text x="{x + 28}" y="16">{text}</text>')
    return "".join(items)


def _title(course: Course) -> str:
    row = course.row()
    decided = row["decided_s"]
    first = f"first decided after {decided:.2f} s" if isinstance(decided, float) else "never more than one replica"
    told = f"{first}, at most {row['largest']}, waits p99 {row['wait_p99_s']:.2f} s"
    return f"{course.what}, owner {course.owner}: {told} (load of the machine {row['load_average']})"


def _panel(course: Course, top: float, seconds: float, most: float) -> str:
    bottom = top + PANEL

    def x(t: float) -> float:
        return LEFT + max(0.0, t) / seconds * PLOT

    def y(count: float) -> float:
        return bottom - count / most * (PANEL - 24)

    lines = "".join(
        f'<path class="grid" d="M{LEFT} {y(count):.1f}h{PLOT}"/>'
        f'<text x="{LEFT - 6}" y="{y(count) + 4:.1f}" text-anchor="end">{count}</text>'
        for count in range(0, int(most) + 1, 25)
    )
    times = "".join(
        f'<text x="{x(t):.1f}" y="{bottom + 16}" text-anchor="middle">{t}{" s" if t == 0 else ""}</text>'
        for t in range(0, int(seconds) + 1, 20)
    )
    area = _steps(course.moments, lambda each: each.in_flight, x, y)
    ends = f"M{x(0):.1f} {bottom}L{area[1:]}V{bottom}Z"
    return (
        f'<text class="title" x="{LEFT}" y="{top + 12}">{escape(_title(course))}</text>{lines}{times}'
        f'<path class="calls" d="{ends}"/>'
        f'<path class="wanted" d="{_steps(course.moments, lambda each: each.wanted, x, y)}"/>'
        f'<path class="ready" d="{_steps(course.moments, lambda each: each.ready, x, y)}"/>'
    )


def _steps(
    moments: Sequence[Moment], count: Callable[[Moment], int], x: Callable[[float], float], y: Callable[[float], float]
) -> str:
    """A count stays what it was until it is seen to be another."""
    first, last = moments[0], moments[-1]
    path, before = f"M{x(first.t):.1f} {y(count(first)):.1f}", count(first)
    for each in moments[1:]:
        if count(each) != before:
            before = count(each)
            path += f"H{x(each.t):.1f}V{y(before):.1f}"
    return path + f"H{x(last.t):.1f}"
