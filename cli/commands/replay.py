"""``springtide replay``: recorded calls under policies that are only tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import click

from springtide.cli import stack as stack_file
from springtide.cli import stack_source
from springtide.cli.commands.options import json_option, print_json, print_table
from springtide.cli.replay import pictures
from springtide.cli.replay.options import COLD_START, Given, with_calls
from springtide.cli.replay.pictures import Picture
from springtide.cli.replay.progress import each_recording
from springtide.cli.terminal_text import one_line
from springtide.runtime.durations import format_duration
from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.scaler.sim import policies, trust
from springtide.scaler.sim.lives import lives
from springtide.scaler.sim.policies import Policy
from springtide.scaler.sim.recording import Really, Recording
from springtide.scaler.sim.replay import HOUR_S, Result
from springtide.scaler.sim.trust import Change

MAX_POLICIES, MAX_PICTURES, MAX_TOLD = 20, 24, 50
AS_IT_WAS = "(as it was)"
"""The row of what really ran, where Prometheus knows it."""


@click.command()
@with_calls
@click.option(
    "--policy",
    "wanted",
    multiple=True,
    metavar="KEY=VALUE,…",
    default=("owner=alerts",),
    show_default=True,
    help=f"A policy to try; again for each. Keys: {', '.join(policies.KEYS)}; or knative.",
)
@click.option(
    "--decisions",
    type=click.Path(dir_okay=False, path_type=Path),
    help="What really ran: the decision log, as GET /system/scaling/decisions answers it; tells how far to trust this.",
)
@click.option(
    "--stack",
    metavar="FILE",
    help="A stack.yaml: also each function as it is deployed by its labels there, which name no policy of --policy.",
)
@click.option("--price", type=click.FloatRange(0, 1e6), help="Of one replica for an hour.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with pictures there.")
@json_option
@click.pass_obj
def replay(  # noqa: PLR0913 - one parameter for each option
    environ: Mapping[str, str],
    /,
    *,
    function: str | None,
    given: Given,
    wanted: Sequence[str],
    price: float | None,
    decisions: Path | None,
    stack: str | None,
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
    log = {} if decisions is None else _decisions(decisions)
    tried = [Tried.everywhere(policies.parse(text)) for text in wanted]
    if stack is not None:
        tried.append(_deployed(stack, environ))
    report = _replayed(given, tried, log)
    head, rows = _table(report, price)
    if html is not None:
        _write(html, pictures.page(f"Replay of {report.what}", report.notes, head, rows, report.drawings))
    if as_json:
        print_json(report.json(price))
        return
    for note in report.notes:
        click.echo(one_line(note))
    click.echo()
    print_table(head, rows)
    _tell_trust(report, by_function=stack is not None and not function)
    if function:
        _draw(report.drawings)


@dataclass(slots=True)
class _Report:
    """All functions together, each by itself, and pictures of the first ones."""

    given: Given
    results: list[Result]
    each: list[tuple[Recording, list[Result]]] = field(default_factory=list)
    drawings: list[Picture] = field(default_factory=list)

    @property
    def what(self) -> str:
        return self.each[0][0].function if len(self.each) == 1 else f"{len(self.each)} functions"

    @property
    def really(self) -> list[Really]:
        """Nothing unless it is known of all."""
        found = [recording.really for recording, _ in self.each if recording.really is not None]
        return found if len(found) == len(self.each) else []

    @property
    def notes(self) -> list[str]:
        recordings = [recording for recording, _ in self.each]
        assumed = self.given.assumed
        calls = sum(recording.calls for recording in recordings)
        length = format_duration(round(max(recording.length_s for recording in recordings)))
        began = min((recording.begin for recording in recordings if recording.begin is not None), default=None)
        since = "" if began is None else f" since {datetime.fromtimestamp(began, UTC):%Y-%m-%dT%H:%M:%SZ}"
        one = recordings[0] if len(recordings) == 1 else None
        measured = None if one is None or assumed.cold_start_s is not None else one.cold_start_s
        start = f"{assumed.cold_start_s or assumed.given.cold_start_s:g}s" if measured is None else f"{measured:.3g}s"
        if measured is None and assumed.cold_start_s is None:
            start = COLD_START
        start += "" if measured is None else " (measured)"
        at_once = assumed.given.concurrency
        notes = [f"{self.what}, {calls:,} calls in {length}{since}, a cold start of {start}, {at_once} calls at once"]
        if one is not None and one.service_mean_s is not None and assumed.service_s is None:
            notes.append(f"calls take {one.service_mean_s * 1000:.3g} ms on average (measured)")
        if (unknown := self.unknown_share) > 0:
            notes.append(f"{unknown:.1%} of that time is not known, for nothing was scraped, and is left out")
        return notes

    @property
    def unknown_share(self) -> float:
        length_s = sum(recording.length_s for recording, _ in self.each)
        return max(0.0, 1 - sum(recording.known_s for recording, _ in self.each) / length_s)

    def json(self, price: float | None) -> dict[str, object]:
        over_time = {"over_time": _over_time(self.drawings)} if len(self.each) == 1 else {}
        return {
            **over_time,
            "unknown_share": round(self.unknown_share, 6),
            "beside_what_ran": [_error_json(policy, error) for policy, error in _trust(self)],
            "policies": [_json(result, price) for result in self.results],
            "functions": [
                {
                    "function": recording.function,
                    "begin": recording.begin,
                    "length_s": round(recording.length_s, 3),
                    "unknown_share": round(recording.unknown_share, 6),
                    "service_mean_s": recording.service_mean_s,
                    "cold_start_s": recording.cold_start_s,
                    "as_it_was": None if recording.really is None else _really_json(recording.really),
                    "beside_what_ran": [
                        _error_json(result.policy, _error([(recording.really, result)]))
                        for result in results
                        if recording.really is not None
                    ],
                    "policies": [_json(result, price) for result in results],
                }
                for recording, results in self.each
            ],
        }


@dataclass(frozen=True, slots=True)
class Tried:
    """A row of the table: the policy of each function under it."""

    name: str
    of: Callable[[str], Policy]

    @classmethod
    def everywhere(cls, policy: Policy) -> Tried:
        return cls(policy.name, lambda _: policy)


def _deployed(where: str, environ: Mapping[str, str]) -> Tried:
    """Each function by its own labels. Raises BadInput for a file, or a label, that is wrong."""
    found = stack_file.read(stack_source.read(where), environ).functions
    labels = {spec.ref: spec.labels for spec in found}

    def of(function: str) -> Policy:
        ref = FunctionRef.parse(function)
        if ref not in labels:
            raise BadInput(f"--stack {where}: it has no function {ref.name}; add it, or name a FUNCTION that it has")
        return policies.of_labels(function, labels[ref])

    return Tried(f"--stack {where}", of)


def _replayed(given: Given, tried: Sequence[Tried], log: Mapping[str, Sequence[Change]]) -> _Report:
    report = _Report(given, [Result(policy.name) for policy in tried])
    for found, tell in each_recording(given.source):
        recording = _as_logged(found, log)
        own: list[Result] = []
        for policy, total in zip(tried, report.results, strict=True):
            tell(len(own) / len(tried))
            result, shown = lives(recording, policy.of(recording.function), given.assumed.of(recording))
            result.policy = policy.name
            own.append(result)
            total.merge(result)
            if len(report.drawings) < MAX_PICTURES:
                report.drawings.append(
                    Picture(recording.function, policy.name, shown.load, shown.replicas, recording.length_s)
                )
        if recording.really is not None and own and len(report.drawings) < MAX_PICTURES:
            load = report.drawings[-1].load
            report.drawings.append(
                Picture(recording.function, AS_IT_WAS, load, recording.really.replicas, recording.length_s)
            )
        report.each.append((recording.forgetting(), own))  # memory holds the calls of one at a time
    return report


def _decisions(path: Path) -> Mapping[str, Sequence[Change]]:
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return trust.read(lines, str(path))
    except OSError as error:
        raise BadInput(f"--decisions {path}: {error.strerror}") from error


def _as_logged(recording: Recording, log: Mapping[str, Sequence[Change]]) -> Recording:
    """With what the log says there was; nothing is said of a recording with gaps, or without a clock."""
    if recording.function not in log or len(recording.stretches) != 1:
        return recording
    trace = recording.stretches[0].trace
    begin = recording.begin if recording.begin is not None else trace.begin
    if begin is None:
        return recording
    looked = trust.looks(log.values(), begin, recording.length_s)
    return replace(recording, really=trust.really(log[recording.function], begin, recording.length_s, looked))


def _trust(report: _Report) -> list[tuple[str, trust.Error]]:
    """For each policy, over the functions of which it is known what really ran."""
    if not any(recording.really for recording, _ in report.each):
        return []
    return [
        (total.policy, _error([(recording.really, own[number]) for recording, own in report.each]))
        for number, total in enumerate(report.results)
    ]


def _tell_trust(report: _Report, *, by_function: bool) -> None:
    """``by_function``: the last policy is the one that ran for each."""
    told = _trust(report)
    if not told:
        return
    click.echo("\nBeside what really ran (the policy that did should be within 5 % and 10 %):")
    for policy, error in told:
        click.echo(f"  {one_line(policy)}: {error}")
    if by_function:
        for recording, own in report.each[:MAX_TOLD]:
            click.echo(f"    {one_line(recording.function)}: {_error([(recording.really, own[-1])])}")


def _error(replayed: Sequence[tuple[Really | None, Result]]) -> trust.Error:
    """Of those of which it is known what there was."""
    known = [(was, own) for was, own in replayed if was is not None]
    return trust.error(
        [was for was, _ in known],
        replica_s=sum(own.wanted_s for _, own in known),
        cold=sum(own.cold for _, own in known),
        cold_starts=sum(own.cold_starts for _, own in known),
    )


def _error_json(policy: str, error: trust.Error) -> dict[str, object]:
    return {"policy": policy, "replica_s_error": error.replica_s, "cold_starts_error": error.cold_starts}


def _table(report: _Report, price: float | None) -> tuple[list[str], list[list[object]]]:
    head = ["POLICY", "CALLS", "COLD", "P50", "P95", "P99", "REPLICA-HOURS", "COST", "FLAPS", "LARGEST"]
    rows: list[list[object]] = []
    for result in report.results:
        waits = [f"{wait:.3f}s" for wait in result.waited_s(0.5, 0.95, 0.99)]
        calls = f"{result.calls} ({result.unserved} not served)" if result.unserved else result.calls
        hours = _hours(result.replica_s, price)
        rows.append([result.policy, calls, result.cold, *waits, *hours, result.flaps, result.largest])
    if really := report.really:
        known = [each.cold for each in really if each.cold is not None]
        most = [each.largest for each in really if each.largest is not None]
        calls = sum(recording.calls for recording, _ in report.each)
        hours = _hours(sum(each.replica_s for each in really), price)
        cold = sum(known) if known else "-"
        rows.append([AS_IT_WAS, calls, cold, "-", "-", "-", *hours, "-", max(most) if most else "-"])
    return head, rows


def _hours(replica_s: float, price: float | None) -> tuple[str, str]:
    hours = replica_s / HOUR_S
    return f"{hours:.2f}", "-" if price is None else f"{hours * price:.2f}"


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


def _over_time(drawings: Sequence[Picture]) -> dict[str, object]:
    """In equal parts of the time; null where it is not known."""
    first = drawings[0]
    return {
        "part_s": first.length_s / len(first.load),
        "calls_per_s": [*map(_rounded, first.load)],
        "replicas": [{"policy": each.policy, "replicas": [*map(_rounded, each.replicas)]} for each in drawings],
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _really_json(really: Really) -> dict[str, object]:
    hours = round(really.replica_s / HOUR_S, 6)
    return {"replica_hours": hours, "cold": really.cold, "largest": really.largest}


def _draw(drawings: Sequence[Picture]) -> None:
    load = drawings[0].load
    click.echo(f"\ncalls/s   {pictures.blocks(load)}  at most {pictures.most(load):.3g}")
    for drawing in drawings:
        line, largest = pictures.blocks(drawing.replicas), pictures.most(drawing.replicas)
        click.echo(f"replicas  {click.style(line, fg='cyan')}  at most {largest:.3g}, {one_line(drawing.policy)}")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"--html {path}: {error.strerror}") from error
