"""``springtide advise --sleep``: the table and the labels of learned sleep for all recorded functions."""

from __future__ import annotations

import click

from springtide.cli.commands.options import print_json, print_table
from springtide.cli.replay.options import Given
from springtide.cli.replay.progress import each_recording
from springtide.runtime.durations import format_duration
from springtide.runtime.errors import BadInput
from springtide.scaler.core import policy
from springtide.scaler.sim import sleep_advice
from springtide.scaler.sim.bursts import Bursts
from springtide.scaler.sim.sleep_advice import Point, SleepAdvice

MAX_FIXED_S = 7 * 86400.0


def advise_sleep(given: Given, *, today_s: float, rare: float, cold_share: float | None, as_json: bool) -> None:
    """Print it. ``cold_share`` is the wished one; None: as many replica-hours as today's silence costs."""
    if not 0 < today_s <= MAX_FIXED_S:
        raise BadInput(f"--today {format_duration(today_s)}: write a time above 0, at most 168h")
    lives: list[Bursts] = []
    for recording, tell in each_recording(given.source, reading=0.5):
        lives += sleep_advice.bursts(recording, given.assumed.of(recording))
        tell(1.0)
    found = None
    for found in sleep_advice.advise(lives, fixed_s=today_s, kappa=rare, cold_share=cold_share):  # noqa: B007
        pass
    assert found is not None
    if as_json:
        print_json(_json(found, today_s, cold_share))
        return
    click.echo(_said(found, len({life.function for life in lives}), today_s, cold_share) + "\n")
    rows = [_row(point, today_s, "<-" if point is found.best else "") for point in (found.today, *found.tried)]
    print_table(["A COLD START IS WORTH", "COLD CALLS", "COLD, MEAN FUNCTION", "REPLICA-HOURS", ""], rows)
    click.echo("\nlabels:")
    for label, value in labels(found).items():
        click.echo(f'  {label}: "{value}"')


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


def _said(found: SleepAdvice, functions: int, today_s: float, cold_share: float | None) -> str:
    best, today = found.best, found.today
    assert best.price is not None
    worth = format_duration(best.price.cold_worth_s)
    begin = f"{functions} functions, the second half of what is recorded: "
    if cold_share is None:
        ask = f"as many replica-hours as {format_duration(today_s)} of silence cost"
    else:
        ask = f"at most {cold_share:.2%} cold calls"
    if not found.fits:
        return f"{begin}nothing that was tried reaches {ask}; a cold start that is worth {worth} comes nearest"
    return (
        f"{begin}for {ask} a cold start is worth {worth}: {best.cold_share:.2%} of calls are cold instead of "
        f"{today.cold_share:.2%}, for {best.replica_hours:,.1f} replica-hours instead of {today.replica_hours:,.1f}"
    )


def _row(point: Point, today_s: float, mark: str) -> list[object]:
    price = point.price
    name = f"fixed {format_duration(today_s)}"
    if price is not None:
        name = f"{format_duration(price.cold_worth_s)}, rare {price.cold_worth_rare:g}"
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
