"""The control parts as one process: what scales and shows, and is not on a call's way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path

import click
import structlog
import uvloop

from springtide.cli.parts import alert_receiver, console, cron, idler, queue_worker, scaler
from springtide.runtime import logs
from springtide.runtime.kept_parts import Assembled, Part, PartLogs, keep
from springtide.runtime.part_reports import Event, Reporter
from springtide.runtime.service import stop_signals

AND = "+"
"""Between one part's words and the next's."""

PARTS: Mapping[str, tuple[click.Command, Callable[[Mapping[str, str], Mapping[str, object]], Assembled]]] = {
    "alert-receiver": (alert_receiver.alert_receiver, alert_receiver.assembled),
    "scaler": (scaler.scaler, scaler.assembled),
    "queue-worker": (queue_worker.queue_worker, queue_worker.assembled),
    "cron": (cron.cron, cron.assembled),
    "idler": (idler.idler, idler.assembled),
    "console": (console.console, console.assembled),
}

STDIN = 0


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--log-dir", type=click.Path(file_okay=False, path_type=Path), help="Folder with a log of each part.")
@click.option("--supervised", is_flag=True, help="Tell of each part on standard input, a socket.")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def control(environ: Mapping[str, str], /, *, log_dir: Path | None, supervised: bool, words: tuple[str, ...]) -> None:
    """Run several parts in one process; one that fails is started again by itself.

    WORDS are the parts' command lines, a plus sign between them: springtide control idler --port 8084 + console
    """
    parts = list(_parts(environ, words, log_dir))
    logs.configure(stream=PartLogs())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(parts, Reporter(socket.socket(fileno=STDIN)) if supervised else None))


def _parts(environ: Mapping[str, str], words: Sequence[str], log_dir: Path | None) -> Iterator[Part]:
    """Raises UsageError, as each part's own command does; what its settings lack is told by its start."""
    for between, group in groupby(words, AND.__eq__):
        name, *flags = group
        if between:
            continue
        if name not in PARTS:
            raise click.UsageError(f"{name}: no such part; there are {', '.join(PARTS)}")
        command, assembled = PARTS[name]
        given = command.make_context(name, flags, obj=environ).params
        log = log_dir / f"{name}.log" if log_dir is not None else None
        yield Part(name=name, assemble=partial(assembled, environ, given), log=log)


async def _run(parts: Sequence[Part], reporter: Reporter | None) -> None:
    until = asyncio.Event()
    beats = asyncio.create_task(reporter.beat(), name="beats") if reporter is not None else None
    with stop_signals(until):
        await keep(parts, report=reporter.tell if reporter is not None else _log, until=until)
    if beats is not None:
        beats.cancel()


def _log(event: Event) -> None:
    structlog.get_logger().info("part", part=event.child, what=event.what, detail=event.detail)
