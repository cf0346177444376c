"""``springtide advise``: the cheapest labels that would have been good enough for recorded calls."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TextIO

import click

from springtide.cli.commands.options import duration_s, json_option, print_json, print_table
from springtide.cli.replay.options import Given, with_calls
from springtide.cli.replay.progress import each_recording
from springtide.cli.replay.sleep import Asked, advise_sleep
from springtide.cli.terminal_text import one_line
from springtide.runtime.durations import format_duration
from springtide.runtime.errors import BadInput
from springtide.scaler.core import targets
from springtide.scaler.core.keepalive.rule import Price
from springtide.scaler.core.label_values import MAX_COLD_WORTH_RARE
from springtide.scaler.core.policy import DEFAULT_MAX, DEFAULT_SILENCE_S, MAX_REPLICAS
from springtide.scaler.core.targets import TargetType
from springtide.scaler.sim import advice
from springtide.scaler.sim.advice import Advice, Interval, Tried, Wish
from springtide.scaler.sim.recording import Recording
from springtide.scaler.sources.recorded_calls import Progress

MAX_P99_S = 3600.0
COLD = "1%"
MAX_DEPLOYED_CHARS = 64 << 20
"""Of the list of functions: 5,000 with 10 kB each, and some."""

Advised = tuple[Recording, Advice]


@click.command()
@with_calls
@click.option("--p99", default="0.5s", show_default=True, help="Longest wait for a replica of 99 % of all calls.")
@click.option("--cold", help=f"Share of calls that may find no replica ready.  [default: {COLD}]")
@click.option(
    "--max",
    "largest",
    default=DEFAULT_MAX,
    show_default=True,
    type=click.IntRange(1, MAX_REPLICAS),
    help="Most replicas.",
)
@click.option(
    "--type",
    "load",
    type=click.Choice([targets.CAPACITY.name, targets.RPS.name]),
    default=targets.CAPACITY.name,
    show_default=True,
    help="What the targets count: calls in flight, or calls a second.",
)
@click.option(
    "--sleep",
    is_flag=True,
    help="Only about sleep, for all functions together: what a cold start may cost, so that learned sleep takes as "
    "many replica-hours as today's silence, or with --cold so that no more calls are cold.",
)
@click.option(
    "--today",
    metavar="TIME",
    help="With --sleep: the silence after which functions sleep whose labels name none.  [env: inactivity_duration; "
    f"default: {format_duration(DEFAULT_SILENCE_S)}]",
)
@click.option(
    "--deployed",
    type=click.File(encoding="utf-8"),
    help="With --sleep: what GET /system/functions answers, - for what is piped in. Only functions that may sleep "
    "count, and today is what their labels say.",
)
@click.option(
    "--within",
    metavar="TIME",
    help="With --sleep: about how long it may take; of more functions than that is enough for some are drawn.",
)
@click.option(
    "--rare",
    default=Price().cold_worth_rare,
    show_default=True,
    type=click.FloatRange(0, MAX_COLD_WORTH_RARE),
    help="With --sleep: how much more a cold start of a rare function is worth, com.springtide.scale.cold-worth-rare.",
)
@json_option
@click.pass_obj
def advise(  # noqa: PLR0913 - an option each
    environ: Mapping[str, str],
    /,
    *,
    function: str | None,
    given: Given,
    p99: str,
    cold: str | None,
    largest: int,
    load: str,
    sleep: bool,
    today: str | None,
    deployed: TextIO | None,
    within: str | None,
    rare: float,
    as_json: bool,
) -> None:
    """Print the labels that are cheapest for a wished wait and share of cold calls, to paste into stack.yaml.

    FUNCTION is one of those recorded; without it each of them gets an advice. A grid of targets and of silences until
    sleep is tried on the recorded calls: docs/replay.md.
    """
    if sleep:
        asked = Asked(
            today_s=None if today is None else duration_s(today, "--today"),
            rare=rare,
            cold_share=None if cold is None else _share(cold),
            deployed=None if deployed is None else deployed.read(MAX_DEPLOYED_CHARS),
            within_s=None if within is None else duration_s(within, "--within"),
        )
        advise_sleep(environ, given, asked, as_json=as_json)
        return
    cold = cold or COLD
    wish = Wish(_wait_s(p99), _share(cold))
    followed, recordings = targets.of(load), each_recording(given.source)
    advised = [
        (known.forgetting(), _advice(known, given, wish, tell, largest=largest, load=followed))
        for known, tell in recordings
    ]
    if as_json:
        print_json({"p99_s": wish.p99_s, "cold_share": wish.cold_share, "functions": [*map(_json, advised)]})
        return
    click.echo(
        f"p99 of {p99} and {cold} cold calls, at most {largest} replicas; a replica works on "
        f"{given.assumed.given.concurrency} calls at once without getting slower (--concurrency)\n"
    )
    _print(advised, one=function is not None)


def _advice(known: Recording, given: Given, wish: Wish, tell: Progress, *, largest: int, load: TargetType) -> Advice:
    most = advice.tries(given.assumed.given.concurrency, load)
    going = advice.advise(known, given.assumed.of(known), wish, largest=largest, load=load)
    for number, found in enumerate(going):
        tell(min(1.0, number / most))
        if found is not None:
            return found
    raise AssertionError("the advice comes last")


def _print(advised: Sequence[Advised], *, one: bool) -> None:
    click.echo(_patch(advised))
    if one:
        known, found = advised[0]
        unknown = f", {known.unknown_share:.1%} of the time not known" if known.unknown_share > 0 else ""
        click.echo(f"\n{one_line(known.function)}, {known.calls:,} calls{unknown}: {_sentence(found)}\n")
        head = ["POLICY", "P99", "COLD", "REPLICAS"]
        print_table(head, [_row(tried) for tried in found.tried])
        return
    click.echo()
    rows = []
    for known, found in advised:
        sure = found.uncertainty
        rows.append(
            [
                known.function,
                known.calls,
                "yes" if found.fits else "NO",
                *_row(found.best)[1:],
                "-" if sure is None else f"{_span(sure.p99_s, 's')} by {sure.by}",
            ]
        )
    print_table(["FUNCTION", "CALLS", "GOOD ENOUGH", "P99", "COLD", "REPLICAS", "P99 MAY BE"], rows)


def _patch(advised: Sequence[Advised]) -> str:
    """A fragment of stack.yaml. Names come from recordings: those that YAML would not take as they are are quoted."""
    lines = ["functions:"]
    for known, found in advised:
        name = known.function.partition(".")[0] if known.begin is not None else known.function
        shown = name if re.fullmatch(r"[a-z][a-z0-9-]*", name) else '"' + one_line(name).replace('"', "'") + '"'
        lines += [f"  {shown}:", "    labels:"]
        lines += [f'      {label}: "{value}"' for label, value in found.best.labels.items()]
    return "\n".join(lines)


def _sentence(found: Advice) -> str:
    best, sure = found.best, found.uncertainty
    start = (
        f"the cheapest of {len(found.tried)} that were tried and are good enough"
        if found.fits
        else f"none of {len(found.tried)} that were tried is good enough; this one comes nearest"
    )
    told = f"{start}: p99 {best.p99_s:.3f}s, {best.cold_share:.2%} cold, {best.replicas:.2f} replicas on average"
    if sure is None:
        return f"{told}; too short to say how sure that is"
    kind = "9 of 10 drawings of its days give" if sure.by == "days" else "its two halves by themselves give"
    cold = _span((sure.cold_share[0] * 100, sure.cold_share[1] * 100), "%")
    return f"{told}; {kind} p99 {_span(sure.p99_s, 's')}, {cold} cold, {_span(sure.replicas, '')} replicas"


def _span(interval: Interval, unit: str) -> str:
    low, high = interval
    return f"{low:.3g}{unit} to {high:.3g}{unit}"


def _row(tried: Tried) -> list[object]:
    return [tried.policy.name, f"{tried.p99_s:.3f}s", f"{tried.cold_share:.2%}", f"{tried.replicas:.3f}"]


def _json(advised: Advised) -> dict[str, object]:
    known, found = advised
    sure = found.uncertainty
    return {
        "function": known.function,
        "calls": known.calls,
        "unknown_share": round(known.unknown_share, 6),
        "good_enough": found.fits,
        "labels": dict(found.best.labels),
        **_figures(found.best),
        "uncertainty": None
        if sure is None
        else {"by": sure.by, "wait_p99_s": sure.p99_s, "cold_share": sure.cold_share, "replicas": sure.replicas},
        "tried": [{"policy": tried.policy.name, **_figures(tried)} for tried in found.tried],
    }


def _figures(tried: Tried) -> dict[str, object]:
    return {
        "wait_p99_s": round(tried.p99_s, 6),
        "cold_share": round(tried.cold_share, 6),
        "replicas": round(tried.replicas, 6),
        "unserved": tried.unserved,
    }


def _wait_s(text: str) -> float:
    seconds = duration_s(text, "--p99")
    if not 0 <= seconds <= MAX_P99_S:
        raise BadInput(f"--p99 {text}: write a time of 0s to 1h")
    return seconds


def _share(text: str) -> float:
    number = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)\s*%?", text.strip())
    share = float(number[1]) / 100 if number else -1.0
    if not 0 <= share <= 1:
        raise BadInput(f"--cold {text}: write a share of 0% to 100%")
    return share
