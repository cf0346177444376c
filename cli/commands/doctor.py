"""``springtide doctor``: is it as it should be, and what is to be done where it is not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import click
import structlog

from springtide.cli.commands.options import (
    json_option,
    print_json,
    state_dir_option,
    state_folder,
    tools_dir_option,
    tools_folder,
)
from springtide.cli.doctor import broker, broker_facts, machine, machine_facts
from springtide.cli.doctor.findings import Area, Finding, Level
from springtide.cli.parts.settings_flags import Section, refuse, settings_options
from springtide.cli.terminal_text import one_line
from springtide.wire.jobs.settings import BrokerSettings, with_names_of_openfaas

BROKER = Section(BrokerSettings)
COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "red"}


@click.command()
@state_dir_option
@tools_dir_option
@settings_options(BROKER)
@click.option("--nats-monitoring-url", default="", help="That server's monitoring port, as http://host:8222.")
@json_option
@click.pass_obj
def doctor(
    environ: Mapping[str, str],
    /,
    *,
    state_dir: Path | None,
    tools_dir: Path | None,
    nats_monitoring_url: str,
    as_json: bool,
    **given: object,
) -> None:
    """Check this machine and the local suite: kernel, limits, programs, ports, disk, clock, files, and the broker.

    With --nats-url: the broker of asynchronous calls that it names, alone.
    Exit status 1 when something does not work; warnings alone leave it 0.
    """
    # What is wrong is told below, once.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    environ = with_names_of_openfaas(environ)
    refuse(BROKER.problems(environ, given))
    settings = BROKER.read(environ, given)
    findings: list[Finding] = []
    if settings.nats_url:
        gather = partial(broker_facts.of_url, settings, nats_monitoring_url)
    else:
        state, tools = state_folder(state_dir, environ), tools_folder(tools_dir, environ)
        of_machine = partial(machine_facts.of_machine, state, environ, tools)
        findings += asyncio.run(Area("machine", of_machine, machine.CHECKS).examine())
        gather = partial(broker_facts.of_suite, state, environ)
    findings += asyncio.run(Area("broker", gather, broker.CHECKS).examine())
    healthy = all(finding.verdict.level is not Level.ERROR for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "checks": [_json(finding) for finding in findings]})
    else:
        _print(findings)
    if not healthy:
        raise click.exceptions.Exit(1)


def _json(finding: Finding) -> dict[str, str]:
    verdict = finding.verdict
    return {"check": finding.check, "level": verdict.level, "says": verdict.says, "remedy": verdict.remedy}


def _print(findings: Sequence[Finding]) -> None:
    width = max((len(finding.check) for finding in findings), default=0)
    for finding in findings:
        verdict = finding.verdict
        level = click.style(verdict.level.ljust(8), fg=COLOURS[verdict.level])
        click.echo(f"{level} {finding.check.ljust(width)}  {one_line(verdict.says)}")
        if verdict.remedy:
            click.echo(f"{'':9}{'':{width}}  → {one_line(verdict.remedy)}")
