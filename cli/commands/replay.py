"""``springtide replay``: recorded calls under policies that are only tried."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from springtide.cli.commands.options import duration_s, json_option, print_json, print_table
from springtide.cli.replay import pictures
from springtide.cli.replay.pictures import Picture
from springtide.cli.terminal_text import one_line
from springtide.rules.thresholds import Thresholds
from springtide.rules.timing import DEFAULT
from springtide.runtime.durations import format_duration
from springtide.runtime.errors import BadInput, NotFound
from springtide.scaler.sim import policies, traces, worlds
from springtide.scaler.sim.alert_path import AlertTiming
from springtide.scaler.sim.engine import PARTS
from springtide.scaler.sim.policies import Policy
from springtide.scaler.sim.replay import HOUR_S, Circumstances, Result, replicas_over_time, run
from springtide.scaler.sim.traces import Trace

MAX_POLICIES, MAX_PICTURES = 20, 24
MIN_TIME_S, MAX_TIME_S = 0.0001, 3600.0


@click.command()
@click.argument("function", required=False)
@click.option(
    "--from",
    "source",
    required=True,
    metavar="FILE",
    help="Recorded calls: a CSV of time and function, a "
    "gateway's access log, or the calls a minute of the Azure 2019 data set; - for what is piped in.",
)
@click.option(
    "--policy",
    "wanted",
    multiple=True,
    metavar="KEY=VALUE,…",
    default=("owner=alerts",),
    show_default=True,
    help=f"A policy to try; again for each. Keys: {', '.join(policies.KEYS)}; or knative.",
)
@click.option("--service", default="100ms", show_default=True, help="Mean time a call takes, drawn exponentially.")
@click.option(
    "--durations",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The Azure data set's durations; its functions take as long as they say there.",
)
@click.option("--cold-start", default="2s", show_default=True, help="Median time until a new replica takes calls.")
@click.option(
    "--concurrency",
    default=100,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Calls that one replica can work on at once; type=capacity gives it no more than its target.",
)
@click.option("--price", type=click.FloatRange(0, 1e6), help="Of one replica for an hour.")
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 2**31), help="Of all that is drawn.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with pictures there.")
@json_option
def replay(  # noqa: PLR0913 - an option each
    *,
    function: str | None,
    source: str,
    wanted: Sequence[str],
    service: str,
    durations: Path | None,
    cold_start: str,
    concurrency: int,
    price: float | None,
    seed: int,
    html: Path | None,
    as_json: bool,
) -> None:
    """Tell what recorded calls would have cost and waited under other policies.

    FUNCTION is one of those recorded; without it all of them are replayed. The rules are those that decide in a
    running suite, in virtual time: docs/replay.md.
    """
    if len(wanted) > MAX_POLICIES:
        raise BadInput(f"--policy: {len(wanted)} policies; write at most {MAX_POLICIES}")
    if html is not None and not html.parent.is_dir():
        raise BadInput(f"--html {html}: there is no folder {html.parent}; make it first")
    tried = [policies.parse(text) for text in wanted]
    measured = {} if durations is None else _durations(durations)
    usual = worlds.exponential(_time_s(service, "--service"))
    drawn = {name: traces.drawn_from(points) for name, points in measured.items()}
    given = Circumstances(
        service_s=lambda name: drawn.get(name.rpartition(".")[2] if name not in drawn else name, usual),
        cold_start_s=_time_s(cold_start, "--cold-start"),
        concurrency=concurrency,
        timing=_timing(),
        seed=seed,
    )
    chosen = _chosen(_read(source), function)
    results, each, drawings = _replayed(chosen, tried, given)
    head, rows = _table(results, price)
    if html is not None:
        _write(html, pictures.page(f"Replay of {_what(chosen)}", head, rows, drawings))
    if as_json:
        names = ("function", "policies")
        print_json(
            {
                "policies": [_json(result, price) for result in results],
                "functions": [
                    dict(zip(names, (name, [_json(row, price) for row in found]), strict=True)) for name, found in each
                ],
            }
        )
        return
    length = format_duration(round(max(trace.length_s for trace in chosen)))
    click.echo(
        f"{one_line(_what(chosen))}, "
        f"{sum(trace.calls for trace in chosen):,} calls in {length}, "
        f"a cold start of {cold_start}, {concurrency} calls at once\n"
    )
    print_table(head, rows)
    if function:
        _draw(drawings)


def _replayed(
    chosen: Sequence[Trace], tried: Sequence[Policy], given: Circumstances
) -> tuple[list[Result], list[tuple[str, list[Result]]], list[Picture]]:
    """Together, by function, and pictures of the first ones."""
    results = [Result(policy.name) for policy in tried]
    each: list[tuple[str, list[Result]]] = []
    drawings: list[Picture] = []
    bar: Any = nullcontext(chosen)
    if sys.stderr.isatty() and len(chosen) > 1:
        bar = click.progressbar(chosen, label="functions", file=sys.stderr)
    with bar as going:
        for trace in going:
            own = [Result(policy.name) for policy in tried]
            for policy, result, total in zip(tried, own, results, strict=True):
                outcome = run(trace, policy, given)
                result.add(outcome)
                total.add(outcome)
                if len(drawings) < MAX_PICTURES:
                    load = [calls / (trace.length_s / PARTS) for calls in outcome.arrived]
                    over_time = replicas_over_time(outcome, trace.length_s)
                    drawings.append(Picture(trace.function, policy.name, load, over_time))
            each.append((trace.function, own))
    return results, each, drawings


def _table(results: Sequence[Result], price: float | None) -> tuple[list[str], list[list[object]]]:
    head = ["POLICY", "CALLS", "COLD", "P50", "P95", "P99", "REPLICA-HOURS", "COST", "FLAPS", "LARGEST"]
    rows: list[list[object]] = []
    for result in results:
        waits = [f"{wait:.3f}s" for wait in result.waited_s(0.5, 0.95, 0.99)]
        cost = "-" if price is None else f"{result.cost(price):.2f}"
        hours = f"{result.replica_s / HOUR_S:.2f}"
        calls = f"{result.calls} ({result.unserved} not served)" if result.unserved else result.calls
        rows.append([result.policy, calls, result.cold, *waits, hours, cost, result.flaps, result.largest])
    return head, rows


def _json(result: Result, price: float | None) -> dict[str, object]:
    p50, p95, p99 = result.waited_s(0.5, 0.95, 0.99)
    told: dict[str, object] = {
        "policy": result.policy,
        "calls": result.calls,
        "cold": result.cold,
        "unserved": result.unserved,
        "wait_p50_s": round(p50, 6),
        "wait_p95_s": round(p95, 6),
        "wait_p99_s": round(p99, 6),
        "replica_hours": round(result.replica_s / HOUR_S, 6),
        "flaps": result.flaps,
        "largest": result.largest,
    }
    return told if price is None else {**told, "cost": round(result.cost(price), 6)}


def _draw(drawings: Sequence[Picture]) -> None:
    click.echo(f"\ncalls/s   {pictures.blocks(drawings[0].load)}  at most {max(drawings[0].load):.3g}")
    for drawing in drawings:
        line = pictures.blocks(drawing.replicas)
        click.echo(
            f"replicas  {click.style(line, fg='cyan')}  at most {max(drawing.replicas):.3g}, {one_line(drawing.policy)}"
        )


def _timing() -> AlertTiming:
    """That of the rules as ``springtide up`` writes them."""
    thresholds, scrapes = Thresholds(), DEFAULT.scrapes_in_window
    return AlertTiming(
        scrape_s=DEFAULT.gateway_scrape_s,
        evaluation_s=DEFAULT.evaluation_s,
        window_s=DEFAULT.window_s,
        group_interval_s=DEFAULT.group_interval_s,
        deliver_every_s=DEFAULT.step_every_s,
        step_interval_s=DEFAULT.step_interval_s,
        begins_calls_per_s=thresholds.calls_per_s,
        ends_calls_per_s=thresholds.calls_per_s * (scrapes - 1) / scrapes,
        calls_in_flight=thresholds.calls_in_flight,
    )


def _read(source: str) -> list[Trace]:
    if source == "-":
        return traces.read(sys.stdin, "standard input")
    try:
        with Path(source).open(encoding="utf-8", errors="replace") as lines:
            return traces.read(lines, source)
    except OSError as error:
        raise BadInput(f"--from {source}: {error.strerror}") from error


def _durations(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return dict(traces.read_durations(lines, str(path)))
    except OSError as error:
        raise BadInput(f"--durations {path}: {error.strerror}") from error


def _chosen(found: Sequence[Trace], function: str | None) -> list[Trace]:
    chosen = [trace for trace in found if function in (None, trace.function)]
    if not chosen:
        names = ", ".join(trace.function for trace in found[:5])
        raise NotFound(f"no call of {function} is recorded there; there are {names}{' …' if len(found) > 5 else ''}")
    return chosen


def _what(chosen: Sequence[Trace]) -> str:
    return chosen[0].function if len(chosen) == 1 else f"{len(chosen)} functions"


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"--html {path}: {error.strerror}") from error


def _time_s(text: str, flag: str) -> float:
    seconds = duration_s(text, flag)
    if not MIN_TIME_S <= seconds <= MAX_TIME_S:
        raise BadInput(f"{flag} {text}: write a time of 0.1ms to 1h")
    return seconds
