"""Cold starts over replica-hours as one SVG: a curve for each κ, points for other policies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from bench.keepalive import KAPPAS, THETAS_S, Figures, name_of

WIDTH, PANEL, LEFT, TOP, BELOW, RIGHT = 900, 300, 64, 44, 62, 20
PLOT = WIDTH - LEFT - RIGHT
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#333}.title{font-weight:600}.grid{stroke:#ddd}.k0,.k1,.k2{fill:none;"
    "stroke-width:2}.k0{stroke:#0a7d6c}.k1{stroke:#8a6d00}.k2{stroke:#b3541e}.d0{fill:#0a7d6c}.d1{fill:#8a6d00}"
    ".d2{fill:#b3541e}.other{fill:#444}"
)
Measure = Callable[[Figures], float]


def picture(found: Sequence[Figures], title: str) -> str:
    """Lower and further left is better, in both panels."""
    height = TOP + 2 * (PANEL + BELOW)
    panels = _panel(
        found, TOP, "mean share of a function's calls that are cold, %", lambda each: 100 * each.cold_share
    ) + _panel(found, TOP + PANEL + BELOW, "cold starts per 1,000 calls", lambda each: each.cold_per_1000)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}"><style>{STYLE}</style><rect width="{WIDTH}" height="{height}" fill="#fff"/>'
        f'<text class="title" x="{LEFT}" y="18">{escape(title)}</text>{_key()}{panels}</svg>\n'
    )


def _key() -> str:
    return "".join(
        f'<path class="k{place}" d="M{LEFT + place * 130} 32h22"/>'
        f'<text x="{LEFT + place * 130 + 28}" y="36">learned, κ {kappa:g}</text>'
        for place, kappa in enumerate(KAPPAS)
    )


def _panel(found: Sequence[Figures], top: float, what: str, measure: Measure) -> str:
    shown = [each for each in found if measure(each) > 0]
    hours, values = [each.replica_hours for each in shown], [measure(each) for each in shown]
    low_x, high_x = min(hours) * 0.9, max(hours) * 1.08
    low_y, high_y = min(values) / 1.2, max(values) * 1.2
    bottom = top + PANEL

    def x(each: float) -> float:
        return LEFT + (each - low_x) / (high_x - low_x) * PLOT

    def y(each: float) -> float:
        return bottom - math.log(each / low_y) / math.log(high_y / low_y) * (PANEL - 24)

    return (
        f'<text class="title" x="{LEFT}" y="{top + 12:g}">{escape(what)}</text>'
        + _axes(x, y, (low_x, high_x), (low_y, high_y), bottom)
        + _curves({each.policy: each for each in shown}, x, y, measure)
        + "".join(_point(each.policy, x(each.replica_hours), y(measure(each))) for each in shown if _other(each))
    )


def _other(each: Figures) -> bool:
    return not each.policy.startswith("learned")


def _axes(
    x: Callable[[float], float],
    y: Callable[[float], float],
    across: tuple[float, float],
    up: tuple[float, float],
    bottom: float,
) -> str:
    step = 10 ** math.floor(math.log10(across[1] - across[0]))
    step = step / 2 if (across[1] - across[0]) / step < 4 else step
    marks = [number * step for number in range(math.ceil(across[0] / step), int(across[1] / step) + 1)]
    lines = "".join(f'<text x="{x(at):.1f}" y="{bottom + 16:g}" text-anchor="middle">{at:,.0f}</text>' for at in marks)
    powers = [base * 10.0**power for power in range(-4, 5) for base in (1, 2, 5)]
    for at in powers:
        if up[0] <= at <= up[1]:
            lines += f'<path class="grid" d="M{LEFT} {y(at):.1f}h{PLOT}"/>'
            lines += f'<text x="{LEFT - 6}" y="{y(at) + 4:.1f}" text-anchor="end">{at:g}</text>'
    return lines + f'<text x="{LEFT + PLOT}" y="{bottom + 34:g}" text-anchor="end">replica-hours</text>'


def _curves(
    by_policy: dict[str, Figures], x: Callable[[float], float], y: Callable[[float], float], measure: Measure
) -> str:
    drawn = ""
    for place, kappa in enumerate(KAPPAS):
        points = [
            (x(each.replica_hours), y(measure(each)), theta_s)
            for theta_s in THETAS_S
            if (each := by_policy.get(name_of(theta_s, kappa))) is not None
        ]
        drawn += f'<path class="k{place}" d="M' + "L".join(f"{a:.1f} {b:.1f}" for a, b, _ in points) + '"/>'
        drawn += "".join(
            f'<circle class="d{place}" cx="{a:.1f}" cy="{b:.1f}" r="3">'
            f"<title>θ {theta_s:g} s, κ {kappa:g}</title></circle>"
            for a, b, theta_s in points
        )
    return drawn


def _point(name: str, x: float, y: float) -> str:
    return (
        f'<rect class="other" x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
        f'<text x="{x + 8:.1f}" y="{y - 6:.1f}">{escape(name)}</text>'
    )
