"""``springtide advise --sleep``: the table and the labels of learned sleep for all recorded functions."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import click

from springtide.cli.commands.options import print_json, print_table
from springtide.cli.replay.options import Given
from springtide.cli.replay.progress import each_recording
from springtide.runtime import bounded_json, settings
from springtide.runtime.durations import format_duration
from springtide.runtime.errors import BadInput, NotFound
from springtide.scaler.core import policy
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.sim import sleep_advice
from springtide.scaler.sim.sleep_advice import Life, Point, SleepAdvice, Today
from springtide.triggers.sleep.settings import SleepSettings

MAX_FIXED_S = 7 * 86400.0
READING = 0.5
"""Of the time that it may all take, the share in which functions are read; in the other half they are replayed."""
REPLAY_S = 50e-6
"""About what one burst of calls takes at one price."""


@dataclass(frozen=True, slots=True)
class Asked:
    """``today_s``: the silence of functions whose labels name none; None: the suite's setting. ``deployed``: what the
    gateway lists, of which those that may sleep count, each as its labels have it now; None: all, as if none had any.
    ``within_s``: so many functions, drawn, as can be read in half of it and replayed in the other; None: all.
    """

    today_s: float | None
    rare: float
    cold_share: float | None
    deployed: str | None
    within_s: float | None


@dataclass(slots=True)
class Chosen:
    """Which functions are read: those that may sleep, in an order that is drawn when not all may be."""

    sleeping: Mapping[str, Today] | None
    source: random.Random | None
    names: Sequence[str] = ()

    def __call__(self, recorded: Sequence[str]) -> Sequence[str]:
        names = [name for name in recorded if self.sleeping is None or name in self.sleeping]
        if not names:
            raise NotFound("no function that may sleep was called in that time; com.openfaas.scale.zero lets one sleep")
        if self.source is not None:
            self.source.shuffle(names)
        self.names = names
        return names


def advise_sleep(environ: Mapping[str, str], given: Given, asked: Asked, *, as_json: bool) -> None:
    """Print it."""
    if asked.today_s is not None and not 0 < asked.today_s <= MAX_FIXED_S:
        raise BadInput(f"--today {format_duration(asked.today_s)}: write a time above 0, at most 168h")
    if asked.within_s is not None and not asked.within_s > 0:
        raise BadInput(f"--within {format_duration(asked.within_s)}: write a time above 0")
    usual = settings.read(SleepSettings, environ, {"inactivity_s": asked.today_s})
    sleeping = None if asked.deployed is None else _sleeping(asked.deployed, usual)
    source = None if asked.within_s is None else random.Random(given.assumed.given.seed)
    chosen = Chosen(sleeping, source)
    lives = _lives(given, chosen, Today(usual.inactivity_s), asked.within_s)
    counted = len({bursts.function for bursts, _ in lives})
    found = None
    for found in sleep_advice.advise(lives, kappa=asked.rare, cold_share=asked.cold_share):  # noqa: B007
        pass
    assert found is not None
    if as_json:
        length_s = max(bursts.length_s for bursts, _ in lives)
        known = {"functions": counted, "of_functions": len(chosen.names), "recorded_s": round(length_s, 1)}
        print_json(known | _json(found, usual.inactivity_s, asked.cold_share))
        return
    today = f"fixed {format_duration(usual.inactivity_s)}" if sleeping is None else "as the labels have it"
    of = f" of {len(chosen.names)}, drawn at random" if counted < len(chosen.names) else ""
    click.echo(f"{counted} functions{of}, the second half of what is recorded: {_said(found, today, asked)}\n")
    rows = [_row(point, today, "<-" if point is found.best else "") for point in (found.today, *found.tried)]
    print_table(["A COLD START IS WORTH", "COLD CALLS", "COLD, MEAN FUNCTION", "REPLICA-HOURS", ""], rows)
    click.echo("\nlabels:")
    for label, value in labels(found).items():
        click.echo(f'  {label}: "{value}"')


def _lives(given: Given, chosen: Chosen, usual: Today, within_s: float | None) -> list[Life]:
    lives: list[Life] = []
    limit_s = math.inf if within_s is None else within_s
    until, room = time.monotonic() + READING * limit_s, (1 - READING) * limit_s / (REPLAY_S * sleep_advice.TRIES)
    with closing(each_recording(given.source, reading=0.5, choose=chosen)) as recordings:
        for recording, tell in recordings:
            today = usual if chosen.sleeping is None else chosen.sleeping[recording.function]
            found = sleep_advice.bursts(recording, given.assumed.of(recording))
            lives += [(each, today) for each in found]
            room -= sum(len(each.since) for each in found)
            tell(1.0)
            if room <= 0 or time.monotonic() >= until:
                break
    return lives


def _sleeping(deployed: str, usual: SleepSettings) -> dict[str, Today]:
    """By name and namespace, as recordings name functions: those that may sleep, and how they do."""
    try:
        listed = bounded_json.loads(deployed)
        known = {f"{each['name']}.{each['namespace']}": dict(each.get("labels") or {}) for each in listed}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadInput("--deployed: write the answer of GET /system/functions, a list of functions in JSON") from error
    found = {}
    for name, words in known.items():
        asked, _ = ScalePolicy.from_labels(words)
        if asked.zero:
            price = usual.price(asked) if usual.learns(asked) else None
            found[name] = Today(usual.fixed_s(asked), price)
    return found


def labels(found: SleepAdvice) -> dict[str, str]:
    """What to write at each of the functions."""
    price = found.best.price
    assert price is not None
    return {
        policy.ZERO: "true",
        policy.ZERO_POLICY: policy.ZeroPolicy.LEARNED.value,
        policy.COLD_WORTH: format_duration(price.cold_worth_s),
        policy.COLD_WORTH_RARE: f"{price.cold_worth_rare:g}",
    }


def _said(found: SleepAdvice, today: str, asked: Asked) -> str:
    best = found.best
    assert best.price is not None
    worth = format_duration(best.price.cold_worth_s)
    wish = f"as many replica-hours as today ({today})"
    if asked.cold_share is not None:
        wish = f"at most {asked.cold_share:.2%} cold calls"
    if not found.fits:
        return f"nothing that was tried reaches {wish}; a cold start that is worth {worth} comes nearest"
    return (
        f"for {wish} a cold start is worth {worth}: {best.cold_share:.2%} of calls are cold instead of "
        f"{found.today.cold_share:.2%}, for {best.replica_hours:,.1f} replica-hours instead of "
        f"{found.today.replica_hours:,.1f}"
    )


def _row(point: Point, today: str, mark: str) -> list[object]:
    price = point.price
    name = today if price is None else f"{format_duration(price.cold_worth_s)}, rare {price.cold_worth_rare:g}"
    return [name, f"{point.cold_share:.3%}", f"{point.mean_cold_share:.2%}", f"{point.replica_hours:.2f}", mark]


def _json(found: SleepAdvice, today_s: float, cold_share: float | None) -> dict[str, object]:
    return {
        "wished_cold_share": cold_share,
        "fits": found.fits,
        "labels": labels(found),
        "today": {"silence_s": today_s, **_figures(found.today)},
        "best": _figures(found.best),
        "tried": [_figures(point) for point in found.tried],
    }


def _figures(point: Point) -> dict[str, object]:
    price = point.price
    told = {} if price is None else {"cold_worth_s": price.cold_worth_s, "cold_worth_rare": price.cold_worth_rare}
    return {
        **told,
        "cold_share": round(point.cold_share, 8),
        "mean_cold_share": round(point.mean_cold_share, 6),
        "replica_hours": round(point.replica_hours, 4),
    }
