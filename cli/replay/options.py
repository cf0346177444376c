"""What ``replay`` and ``advise`` are both told: where calls come from, and what is assumed of a function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from springtide.cli.commands.options import duration_s, state_dir_option, state_folder
from springtide.cli.replay import sources
from springtide.cli.replay.sources import Source
from springtide.rules.thresholds import Thresholds
from springtide.rules.timing import DEFAULT
from springtide.runtime.errors import BadInput
from springtide.scaler.sim import traces, worlds
from springtide.scaler.sim.alert_path import AlertTiming
from springtide.scaler.sim.recording import Recording
from springtide.scaler.sim.replay import Circumstances

F = TypeVar("F", bound=Callable[..., Any])

MIN_TIME_S, MAX_TIME_S = 0.0001, 3600.0
SERVICE, COLD_START = "100ms", "2s"

_OPTIONS = (
    click.option(
        "--from",
        "path",
        metavar="FILE",
        help="Recorded calls: a CSV of time and function, a gateway's access log, or the calls a minute of the Azure "
        "2019 data set; - for what is piped in.",
    ),
    click.option("--since", metavar="TIME", help="Calls of the last 7d, 12h, …, as Prometheus has them."),
    click.option(
        "--prometheus",
        metavar="URL",
        help="The Prometheus that scrapes the gateway.  [env: PROMETHEUS_URL; default: the local suite's]",
    ),
    click.option(
        "--prometheus-secrets",
        "secrets",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder with basic-auth-user and basic-auth-password for it.  [default: the local suite's for its own]",
    ),
    state_dir_option,
    click.option(
        "--service", help=f"Mean time a call takes, drawn exponentially.  [default: as measured, else {SERVICE}]"
    ),
    click.option(
        "--durations",
        type=click.Path(dir_okay=False, path_type=Path),
        help="The Azure data set's durations; its functions take as long as they say there.",
    ),
    click.option(
        "--cold-start", help=f"Median time until a new replica takes calls.  [default: as measured, else {COLD_START}]"
    ),
    click.option(
        "--concurrency",
        default=100,
        show_default=True,
        type=click.IntRange(1, 10_000),
        help="Calls that one replica can work on at once; type=capacity gives it no more than its target.",
    ),
    click.option("--seed", default=1, show_default=True, type=click.IntRange(0, 2**31), help="Of all that is drawn."),
)


@dataclass(frozen=True, slots=True)
class Assumed:
    """What is not recorded. ``service_s`` and ``cold_start_s`` in seconds, None where nobody wrote them."""

    given: Circumstances
    service_s: float | None
    cold_start_s: float | None
    has_durations: bool

    def of(self, recording: Recording) -> Circumstances:
        """For one function: what was written goes before what was measured, and that before what is assumed."""
        service_s, cold_start_s = self.given.service_s, self.given.cold_start_s
        if self.service_s is None and not self.has_durations and (draw := recording.service_s) is not None:
            service_s = lambda _: draw  # noqa: E731 - a function of the name, as the others are
        if self.cold_start_s is None and recording.cold_start_s is not None:
            cold_start_s = max(0.001, recording.cold_start_s)
        return Circumstances(
            service_s=service_s,
            cold_start_s=cold_start_s,
            concurrency=self.given.concurrency,
            timing=self.given.timing,
            seed=self.given.seed,
            as_recorded=self.service_s is None and not self.has_durations,
            awake=recording.really is not None and recording.really.awake,
            swept_s=0.0 if recording.really is None else recording.really.swept_s,
            looks=() if recording.really is None else recording.really.looks,
        )


@dataclass(frozen=True, slots=True)
class Given:
    """``source()`` opens where the calls are."""

    source: Callable[[], AbstractContextManager[Source]]
    assumed: Assumed


def with_calls(command: F) -> F:
    """Adds the options; the command gets ``function`` and one ``given`` in their place."""

    @click.argument("function", required=False)
    @click.pass_obj
    @functools.wraps(command)
    def wrapper(  # noqa: PLR0913 - an option each
        environ: Mapping[str, str],
        /,
        *,
        function: str | None,
        path: str | None,
        since: str | None,
        prometheus: str | None,
        secrets: Path | None,
        state_dir: Path | None,
        service: str | None,
        durations: Path | None,
        cold_start: str | None,
        concurrency: int,
        seed: int,
        **own: Any,
    ) -> Any:
        source = functools.partial(
            sources.opened,
            function,
            path=path,
            since=since,
            prometheus=sources.Address(prometheus, secrets, state_folder(state_dir, environ), environ),
        )
        assumed = _assumed(service, cold_start, durations, concurrency=concurrency, seed=seed)
        return command(function=function, given=Given(source, assumed), **own)

    for option in reversed(_OPTIONS):
        wrapper = option(wrapper)
    return wrapper  # type: ignore[return-value]  # functools.wraps does not keep F


def _assumed(
    service: str | None, cold_start: str | None, durations: Path | None, *, concurrency: int, seed: int
) -> Assumed:
    measured = {} if durations is None else _durations(durations)
    drawn = {name: traces.drawn_from(points) for name, points in measured.items()}
    usual = worlds.exponential(_time_s(service or SERVICE, "--service"))
    cold_start_s = _time_s(cold_start or COLD_START, "--cold-start")
    given = Circumstances(
        service_s=lambda name: drawn.get(name.rpartition(".")[2] if name not in drawn else name, usual),
        cold_start_s=cold_start_s,
        concurrency=concurrency,
        timing=alert_timing(),
        seed=seed,
    )
    return Assumed(
        given,
        service_s=_time_s(service, "--service") if service else None,
        cold_start_s=cold_start_s if cold_start else None,
        has_durations=durations is not None,
    )


def alert_timing() -> AlertTiming:
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


def _durations(path: Path) -> dict[str, Any]:
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return dict(traces.read_durations(lines, str(path)))
    except OSError as error:
        raise BadInput(f"--durations {path}: {error.strerror}") from error


def _time_s(text: str, flag: str) -> float:
    seconds = duration_s(text, flag)
    if not MIN_TIME_S <= seconds <= MAX_TIME_S:
        raise BadInput(f"{flag} {text}: write a time of 0.1ms to 1h")
    return seconds
