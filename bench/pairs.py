"""This tree's gateway beside that of another tree, in turns: is it dearer than it was?"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Protocol

from bench import nginx
from bench.gateway import Measured, gateway
from bench.herd import Herd, percentile
from bench.load import Load, measure
from bench.programs import Programs
from bench.report import Row

READY_AFTER_S = 0.05


def pairs(programs: Programs, folder: Path, other: Path, *, seconds: int, rounds: int) -> Iterator[Row]:
    """Medians of ``rounds`` alternating pairs; ``ratio`` is the median of the pairs' own, above 1 where ours is dearer.

    Processor microseconds per call, and for cold starts the milliseconds until a caller has its answer, less the 50
    that the function takes to be ready. Each round starts both gateways anew: where memory happens to lie makes a
    process a few per cent dearer or cheaper for as long as it lives.
    """
    got: dict[str, list[tuple[float, float]]] = {}
    with nginx.backend(programs, folder) as (_, backend_port):
        for number in range(rounds):
            for what, before, after in _round(programs, folder / str(number), other, backend_port, seconds, number):
                got.setdefault(what, []).append((before, after))
    for what, figures in got.items():
        yield {
            "what": what,
            "before": statistics.median(before for before, _ in figures),
            "after": statistics.median(after for _, after in figures),
            "ratio": statistics.median(after / before for before, after in figures),
            "pairs": rounds,
        }


def _round(
    programs: Programs, folder: Path, other: Path, backend_port: int, seconds: int, number: int
) -> Iterator[tuple[str, float, float]]:
    """Every figure, of the other tree and of ours. Who goes first changes with every figure and every round."""
    folder.mkdir()
    with (
        gateway(folder / "before", backend_port, tree=other, ready_after_s=READY_AFTER_S) as before,
        gateway(folder / "after", backend_port, ready_after_s=READY_AFTER_S) as after,
    ):
        for turn, (what, run) in enumerate(_figures(programs, folder, seconds), start=number):
            run(before, warm=True), run(after, warm=True)
            if turn % 2:
                ours = run(after, warm=False)
                yield what, run(before, warm=False), ours
            else:
                yield what, run(before, warm=False), run(after, warm=False)


class _Run(Protocol):
    def __call__(self, one: Measured, *, warm: bool) -> float: ...


def _figures(programs: Programs, folder: Path, seconds: int) -> Iterator[tuple[str, _Run]]:
    for connections in (32, 256):
        for post in (False, True):
            load = Load(connections, post=post, seconds=seconds)
            yield f"{load.name}, cpu us", partial(_processor_us, programs, folder, load)
    for callers in (1, 1000):
        yield f"cold start, {callers} callers, p50 ms", partial(_cold_ms, callers)


def _processor_us(programs: Programs, folder: Path, load: Load, one: Measured, *, warm: bool) -> float:
    url = f"http://127.0.0.1:{one.port}/function/echo"
    return measure(programs, folder, url, replace(load, seconds=1) if warm else load, one.process).cpu_us


def _cold_ms(callers: int, one: Measured, *, warm: bool) -> float:
    seconds: list[float] = []
    for _ in range(20 if callers == 1 and not warm else 1):  # one start alone says little: they differ by milliseconds
        one.scale(0)
        one.until_asleep()
        herd = Herd(one.port, callers)
        herd.send()
        answers = herd.answers()
        if answers.failures:
            raise RuntimeError(f"{len(answers.failures)} of {callers} callers had no answer: {answers.failures[0]}")
        seconds += answers.seconds
    return (percentile(seconds, 0.5) - READY_AFTER_S) * 1e3
