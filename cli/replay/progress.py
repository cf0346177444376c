"""How far it is, on a terminal; nothing where nobody looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click

from springtide.cli.replay.sources import Source
from springtide.runtime.errors import NotFound
from springtide.scaler.sim.recording import Recording
from springtide.scaler.sources.recorded_calls import Progress

STEPS = 1000
"""Of one function."""


def each_recording(
    opened: Callable[[], AbstractContextManager[Source]],
    reading: float = 0.3,
    choose: Callable[[Sequence[str]], Sequence[str]] = lambda names: names,
) -> Generator[tuple[Recording, Progress]]:
    """One function after the other, and what to tell how much of it is done.

    ``reading`` is the share of the work that reading it is, of which the bar tells, too. ``choose`` says which of those
    recorded are read, in what order.
    """
    with opened() as source:
        bar: Any = nullcontext()
        names = choose(source.names)
        if sys.stderr.isatty():
            bar = click.progressbar(length=len(names) * STEPS, label="functions", file=sys.stderr)
        found = 0
        with bar as shown:
            for number, name in enumerate(names):
                at = number * STEPS

                def tell(share: float, at: int = at) -> None:
                    if shown is not None:
                        shown.update(max(0, at + int(share * STEPS) - shown.pos))

                recording = source.load(name, lambda share, tell=tell: tell(share * reading))  # type: ignore[misc]
                if recording is not None:
                    found += 1
                    yield recording, lambda share, tell=tell: tell(reading + share * (1 - reading))  # type: ignore[misc]
                tell(1.0)
        if not found:
            raise NotFound("Prometheus has too few samples of any function in that time; ask for a longer --since")
