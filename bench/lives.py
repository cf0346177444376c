"""Simulated lives, many at once: each is a call of one function, in processes of their own."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import TypeVar

Which = TypeVar("Which", bound=tuple[object, ...])
Life = TypeVar("Life")
Progress = Callable[[int, int], None]
"""Told how many lives of how many are over."""


def lived(live: Callable[..., Life], todo: Sequence[Which], jobs: int, progress: Progress) -> dict[Which, Life]:
    """What ``live`` says of each, called with its words, in ``jobs`` processes that let others go first."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=jobs, mp_context=spawn, initializer=os.nice, initargs=(5,)) as pool:
        begun: dict[Future[Life], Which] = {pool.submit(live, *each): each for each in todo}
        for over, _ in enumerate(as_completed(begun), 1):
            progress(over, len(todo))
        return {each: future.result() for future, each in begun.items()}


def tell(over: int, of: int) -> None:
    """On one line, which is written again."""
    print(f"\r{over} of {of} lives", end="" if over < of else "\n", file=sys.stderr, flush=True)
