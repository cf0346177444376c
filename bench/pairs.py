"""This tree's gateway beside that of another tree, in turns: is it dearer than it was?"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

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
    that the function takes to be ready.
    """
    with (
        nginx.backend(programs, folder) as (_, backend_port),
        gateway(folder / "before", backend_port, tree=other, ready_after_s=READY_AFTER_S) as before,
        gateway(folder / "after", backend_port, ready_after_s=READY_AFTER_S) as after,
    ):

        def processor_us(load: Load) -> Callable[[Measured], float]:
            def run(one: Measured) -> float:
                url = f"http://127.0.0.1:{one.port}/function/echo"
                return measure(programs, folder, url, load, one.process).cpu_us

            return run

        for connections in (32, 256):
            for post in (False, True):
                load = Load(connections, post=post, seconds=seconds)
                yield _row(f"{load.name}, cpu us", before, after, rounds, processor_us(load))
        for callers in (1, 1000):
            yield _row(
                f"cold start, {callers} callers, p50 ms",
                before,
                after,
                rounds,
                lambda one, n=callers: _cold_ms(one, n),  # type: ignore[misc]
            )


def _row(name: str, before: Measured, after: Measured, rounds: int, run: Callable[[Measured], float]) -> Row:
    """One pair more than is counted warms both; who goes first changes with every pair."""
    run(before), run(after)
    got: list[tuple[float, float]] = []
    for number in range(rounds):
        if number % 2:
            ours = run(after)
            got.append((run(before), ours))
        else:
            got.append((run(before), run(after)))
    return {
        "what": name,
        "before": statistics.median(one for one, _ in got),
        "after": statistics.median(one for _, one in got),
        "ratio": statistics.median(ours / theirs for theirs, ours in got),
        "pairs": rounds,
    }


def _cold_ms(one: Measured, callers: int) -> float:
    seconds: list[float] = []
    for _ in range(20 if callers == 1 else 1):  # one start alone says little: they differ by milliseconds
        one.scale(0)
        one.until_asleep()
        herd = Herd(one.port, callers)
        herd.send()
        answers = herd.answers()
        if answers.failures:
            raise RuntimeError(f"{len(answers.failures)} of {callers} callers had no answer: {answers.failures[0]}")
        seconds += answers.seconds
    return (percentile(seconds, 0.5) - READY_AFTER_S) * 1e3
