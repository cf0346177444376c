"""The command that runs a whole suite on this machine."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from springtide.cli import up as local
from springtide.cli.addresses import WishedPorts
from springtide.cli.announcements import Announcer
from springtide.cli.commands.options import (
    duration_s,
    stack_option,
    state_dir_option,
    state_folder,
    tools_dir_option,
    tools_folder,
)
from springtide.cli.local_broker import MAX_SYNC_S, MIN_SYNC_S
from springtide.cli.runtimes import CHOICES, Runtime
from springtide.cli.state import StateFolder
from springtide.runtime.durations import format_duration
from springtide.runtime.errors import BadInput

PORT = click.IntRange(0, 65535)
ALWAYS = "always"


def _queue_sync(_: click.Context, parameter: click.Parameter, text: str) -> float:
    """Seconds; 0 for always."""
    if text == ALWAYS:
        return 0.0
    seconds = duration_s(text, parameter.opts[0])
    if not MIN_SYNC_S <= seconds <= MAX_SYNC_S:
        lowest, highest = format_duration(MIN_SYNC_S), format_duration(MAX_SYNC_S)
        raise BadInput(f"--queue-sync {text}: write {ALWAYS}, or a time between {lowest} and {highest}")
    return seconds


@click.command()
@state_dir_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the public listener.")
@click.option("--gateway-port", type=PORT, default=8080, show_default=True, help="The public port; 0: a free one.")
@click.option(
    "--metrics-port", type=PORT, default=8082, show_default=True, help="The gateway's metrics; 0: a free one."
)
@click.option("--prometheus-port", type=PORT, help="0: a free one.  [default: 9090, or a free one]")
@click.option("--alertmanager-port", type=PORT, help="0: a free one.  [default: 9093, or a free one]")
@click.option("--nats-port", type=PORT, help="0: a free one.  [default: 4222, or a free one]")
@click.option(
    "--queue-sync",
    metavar="always|DURATION",
    default=ALWAYS,
    show_default=True,
    callback=_queue_sync,
    help="When an asynchronous call is made safe on disk: always, before it is accepted; or only every so often, which "
    "is some ten times as many calls a second, and a power failure takes along what was accepted since the last time.",
)
@click.option("--fast", is_flag=True, help="Short scrape, rule, group and idle times, for trying it out.")
@click.option("--no-samples", is_flag=True, help="Do not deploy the samples on the first start.")
@stack_option
@click.option("--dry-run-idler", is_flag=True, help="The idler says what it would take to zero, and does nothing.")
@click.option(
    "--provider",
    type=click.Choice(list(CHOICES)),
    default="process",
    show_default=True,
    help="Where functions run: as processes of this machine, as containers of its Docker or Podman, as either, or on a "
    "cluster.",
)
@click.option(
    "--keep",
    "at_stop",
    flag_value="keep",
    default=None,
    help="Functions that are containers go on when the suite ends, and the next start takes them over.",
)
@click.option(
    "--down",
    "at_stop",
    flag_value="remove",
    help="Containers, their networks and images that no function names are removed when the suite ends.",
)
@click.option(
    "--kubeconfig", default="", help="With --provider kubernetes: the cluster.  [default: as kubectl finds it]"
)
@click.option(
    "--scaler-default",
    is_flag=True,
    help="The scaler also follows the load of functions whose labels name none, in the place of alerts.",
)
@click.option("--separate", is_flag=True, help="A process each for alert receiver, scaler, idler and console.")
@click.option(
    "--operators-receiver",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="How people are told of alerts: a receiver of Alertmanager's, as YAML.  [default: nobody is told]",
)
@tools_dir_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line: when ready, and what happens.")
@click.pass_obj
def up(  # noqa: PLR0913 - one parameter for each option
    environ: Mapping[str, str],
    /,
    *,
    state_dir: Path | None,
    host: str,
    gateway_port: int,
    metrics_port: int,
    prometheus_port: int | None,
    alertmanager_port: int | None,
    nats_port: int | None,
    queue_sync: float,
    fast: bool,
    no_samples: bool,
    stack_file: str | None,
    dry_run_idler: bool,
    provider: str,
    at_stop: str | None,
    kubeconfig: str,
    scaler_default: bool,
    separate: bool,
    operators_receiver: Path | None,
    tools_dir: Path | None,
    as_json: bool,
) -> None:
    """Run provider, gateway, alert receiver, scaler, idler, Prometheus, Alertmanager and NATS until Ctrl-C.

    Functions, their secrets, labels and replica counts survive a restart.
    """
    if kubeconfig and provider != "kubernetes":
        raise click.UsageError("--kubeconfig is for --provider kubernetes")
    runtimes = CHOICES[provider]
    if at_stop and Runtime.CONTAINERS not in runtimes:
        raise click.UsageError("--keep and --down are for --provider containers, or process,containers")
    state = state_folder(state_dir, environ)
    options = local.UpOptions(
        state=state,
        host=host,
        ports=WishedPorts(
            gateway=gateway_port,
            metrics=metrics_port,
            prometheus=prometheus_port,
            alertmanager=alertmanager_port,
            nats=nats_port,
        ),
        queue_sync_s=queue_sync,
        tools_dir=tools_folder(tools_dir, environ),
        stack_file=stack_file,
        fast=fast,
        # The samples are folders of this machine; a cluster needs images.
        samples=not no_samples and Runtime.KUBERNETES not in runtimes,
        dry_run=dry_run_idler,
        runtimes=runtimes,
        kubeconfig=kubeconfig,
        at_stop=at_stop or "",
        scaler_default=scaler_default,
        separate=separate,
        operators_receiver=operators_receiver,
    )
    announcer = Announcer(
        state,
        as_json=as_json,
        default_state=state == StateFolder.default(environ),
        command=_command(environ),
        payload_secret=str(state.payload_secret_of(environ)) if Runtime.PROCESS in runtimes else "",
    )
    local.run(options, environ, announcer)


def _command(environ: Mapping[str, str]) -> str:
    """What to type for this very program: its name if the shell finds it by that, else its path."""
    program = Path(sys.argv[0])
    found = shutil.which("springtide", path=environ.get("PATH", ""))
    if program.name != "springtide" or (found is not None and Path(found).samefile(program)):
        return "springtide"
    return str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)
