"""Replicas against load over time, as lines of blocks and as one page that asks nobody for anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

BLOCKS = " ▁▂▃▄▅▆▇█"
WIDTH, HEIGHT = 960, 120


@dataclass(frozen=True, slots=True)
class Picture:
    """One function under one policy: calls a second and replicas, in equal parts of the time."""

    function: str
    policy: str
    load: Sequence[float]
    replicas: Sequence[float]


def blocks(values: Sequence[float], columns: int = 60) -> str:
    """A line of ``columns`` blocks, each the largest of its part; anything above nothing is seen."""
    width = max(1, -(-len(values) // columns))
    parts = [max(values[start : start + width]) for start in range(0, len(values), width)]
    top = max(parts, default=0.0)
    return "".join(BLOCKS[0] if part <= 0 else BLOCKS[max(1, round(part / top * 8))] for part in parts)


def page(title: str, head: Sequence[str], rows: Sequence[Sequence[object]], pictures: Sequence[Picture]) -> str:
    """HTML. Whatever a name holds is shown as text."""
    heading = "".join(f"<th>{escape(str(cell))}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<table><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table>"
        + "".join(_figure(picture) for picture in pictures)
        + "</body></html>\n"
    )


STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}td,th{padding:.25rem .75rem;text-align:right}"
    "td:first-child,th:first-child{text-align:left}svg{width:100%;height:auto;border-bottom:1px solid}"
    ".load{fill:#8886}.replicas{fill:none;stroke:#0a7d6c;stroke-width:2}"
)


def _figure(picture: Picture) -> str:
    load, most = _points(picture.load), max(picture.replicas, default=0.0)
    told = f"{picture.function}, {picture.policy}: at most {max(picture.load, default=0.0):.3g} calls/s (area), "
    told += f"{most:.3g} replicas (line)"
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(told)}">'
        f'<polygon class="load" points="0,{HEIGHT} {load} {WIDTH},{HEIGHT}"/>'
        f'<polyline class="replicas" points="{_points(picture.replicas)}"/></svg>'
        f"<figcaption>{escape(told)}</figcaption></figure>"
    )


def _points(values: Sequence[float]) -> str:
    top = max(values, default=0.0) or 1.0
    step = WIDTH / max(1, len(values) - 1)
    return " ".join(
        f"{number * step:.1f},{HEIGHT - 4 - value / top * (HEIGHT - 8):.1f}" for number, value in enumerate(values)
    )
