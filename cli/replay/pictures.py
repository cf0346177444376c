"""Replicas against load over time, as lines of blocks and as one page that asks nobody for anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

BLOCKS, UNKNOWN = " ▁▂▃▄▅▆▇█", "·"
WIDTH, HEIGHT = 960, 120
TABLE_ROWS = 24

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Picture:
    """One function under one policy: calls a second and replicas, in equal parts of ``length_s`` seconds.

    None where it is not known.
    """

    function: str
    policy: str
    load: Values
    replicas: Values
    length_s: float = 0.0


def blocks(values: Values, columns: int = 60) -> str:
    """A line of ``columns`` blocks, each the largest of its part; anything above nothing is seen, and so is a gap."""
    width = max(1, -(-len(values) // columns))
    parts = [_most(values[start : start + width]) for start in range(0, len(values), width)]
    top = most(values)
    return "".join(
        UNKNOWN if part is None else BLOCKS[0] if part <= 0 else BLOCKS[max(1, round(part / top * 8))] for part in parts
    )


def most(values: Values) -> float:
    """0 where nothing is known."""
    return _most(values) or 0.0


def _most(values: Values) -> float | None:
    return max((value for value in values if value is not None), default=None)


def page(
    title: str,
    notes: Sequence[str],
    head: Sequence[str],
    rows: Sequence[Sequence[object]],
    pictures: Sequence[Picture],
) -> str:
    """HTML. Whatever a name holds is shown as text."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        + "".join(f"<p>{escape(note)}</p>" for note in notes)
        + _table("Policies", head, rows)
        + "".join(map(_figure, pictures))
        + "</main></body></html>\n"
    )


STYLE = (
    ":root{color-scheme:light dark;--line:light-dark(#0a7d6c,#4fd1bd);--quiet:light-dark(#555,#aaa)}"
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    ".table{overflow-x:auto}.table:focus-visible,summary:focus-visible{outline:2px solid var(--line)}"
    "table{border-collapse:collapse}caption{text-align:left;font-weight:600}"
    "td,th{padding:.25rem .75rem;text-align:right;white-space:nowrap}"
    "td:first-child,th:first-child{text-align:left}tbody tr{border-top:1px solid #8884}"
    "figure{margin:2rem 0}svg{width:100%;height:auto;border-bottom:1px solid}figcaption,summary{color:var(--quiet)}"
    ".load{fill:#8886}.unknown{fill:#8882}.replicas{fill:none;stroke:var(--line);stroke-width:2}"
)


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """What is wider than the window is scrolled by keys, too."""
    heading = "".join(f'<th scope="col">{escape(str(cell))}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(str(first))}</th>'
        + "".join(f"<td>{escape(str(cell))}</td>" for cell in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="table" role="region" aria-label="{escape(caption)}" tabindex="0"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{heading}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _figure(picture: Picture) -> str:
    told = f"{picture.function}, {picture.policy}: at most {most(picture.load):.3g} calls/s (area), "
    told += f"{most(picture.replicas):.3g} replicas (line)"
    step = WIDTH / max(1, len(picture.load) - 1)
    areas = []
    for first, points in _known(picture.load, step):
        left, right = first * step, (first + len(points) - 1) * step
        areas.append(f'<polygon class="load" points="{left:.1f},{HEIGHT} {" ".join(points)} {right:.1f},{HEIGHT}"/>')
    lines = [
        f'<polyline class="replicas" points="{" ".join(points)}"/>' for _, points in _known(picture.replicas, step)
    ]
    gaps = [
        f'<rect class="unknown" x="{place * step:.1f}" y="0" width="{step:.1f}" height="{HEIGHT}"/>'
        for place, value in enumerate(picture.load)
        if value is None
    ]
    return (
        f'<figure><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(told)}">'
        f"{''.join((*gaps, *areas, *lines))}</svg><figcaption>{escape(told)}</figcaption>"
        f"<details><summary>As a table</summary>{_numbers(picture)}</details></figure>"
    )


def _numbers(picture: Picture) -> str:
    width = max(1, -(-len(picture.load) // TABLE_ROWS))
    rows = []
    for start in range(0, len(picture.load), width):
        cells = (_most(values[start : start + width]) for values in (picture.load, picture.replicas))
        at = start / max(1, len(picture.load)) * picture.length_s
        rows.append([_clock(at), *("not known" if cell is None else f"{cell:.3g}" for cell in cells)])
    return _table(f"{picture.function}, {picture.policy}", ("After", "Calls/s", "Replicas"), rows)


def _clock(seconds: float) -> str:
    days, rest = divmod(round(seconds), 86400)
    return (f"{days}d " if days else "") + f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"


def _known(values: Values, step: float) -> Iterator[tuple[int, list[str]]]:
    """Runs of known values: the place of the first, and points."""
    top, first = most(values) or 1.0, 0
    run: list[str] = []
    for place, value in enumerate((*values, None)):
        if value is not None:
            first = first if run else place
            run.append(f"{place * step:.1f},{HEIGHT - 4 - value / top * (HEIGHT - 8):.1f}")
        elif run:
            yield first, run
            run = []
