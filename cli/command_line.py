"""The ``springtide`` command: which subcommands there are, and how a failure is told."""

from __future__ import annotations

import errno
import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import click
from click.shell_completion import CompletionItem

from springtide.cli.terminal_text import lines
from springtide.runtime import build_info
from springtide.runtime.errors import SpringtideError
from springtide.runtime.lean_imports import import_lean

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("springtide.cli.commands.up:up", "Run the whole suite on this machine."),
    "demo": (
        "springtide.cli.commands.demo:demo",
        "Show a running suite scaling a function up, down, to zero and awake.",
    ),
    "new": ("springtide.cli.commands.building:new", "Begin a function: a folder with a handler, and a stack.yaml."),
    "build": ("springtide.cli.commands.building:build", "Build the functions of a stack file, without Docker."),
    "deploy": ("springtide.cli.commands.deployment:deploy", "Deploy a function, or those of a stack file."),
    "versions": ("springtide.cli.commands.versions:versions", "List what a function runs and can go back to."),
    "rollback": ("springtide.cli.commands.versions:rollback", "Deploy an earlier version of a function again."),
    "list": ("springtide.cli.commands.inspection:list_", "List functions with their calls and replicas."),
    "describe": ("springtide.cli.commands.inspection:describe", "Show everything about one function."),
    "explain": ("springtide.cli.commands.explain:explain_", "Tell why a function has the replicas it has."),
    "replay": (
        "springtide.cli.commands.replay:replay",
        "Tell what recorded calls would have cost and waited under other policies.",
    ),
    "advise": (
        "springtide.cli.commands.advise:advise",
        "Print the labels that are cheapest for a wished wait and share of cold calls.",
    ),
    "top": ("springtide.cli.commands.top:top", "Show functions live: replicas, calls, errors, the last decision."),
    "invoke": ("springtide.cli.commands.invocation:invoke", "Call a function and print its answer."),
    "jobs": ("springtide.cli.commands.jobs:jobs", "List, show, await, cancel and repeat asynchronous calls."),
    "dead": (
        "springtide.cli.commands.dead:dead",
        "List, show, repeat and purge asynchronous calls that were given up.",
    ),
    "schedule": ("springtide.cli.commands.schedule:schedule", "List schedules, pause, resume and run them."),
    "webhook": ("springtide.cli.commands.webhook:webhook", "Try whether a function takes its sender's deliveries."),
    "queue": ("springtide.cli.commands.queue:queue", "List the queues of asynchronous calls, and move them."),
    "scale": ("springtide.cli.commands.deployment:scale", "Set how many replicas a function has."),
    "hpa": ("springtide.cli.commands.hpa:hpa", "Print a function's HorizontalPodAutoscaler, for Kubernetes."),
    "logs": ("springtide.cli.commands.inspection:logs", "Print what a function wrote."),
    "remove": ("springtide.cli.commands.deployment:remove", "Remove functions."),
    "store": ("springtide.cli.commands.store:store", "List, show and deploy functions that are there by name."),
    "template": ("springtide.cli.commands.store:template", "List the templates that functions can be written by."),
    "secret": ("springtide.cli.commands.secrets:secret", "Create, update, list and remove secrets."),
    "login": ("springtide.cli.commands.login:login", "Check credentials and remember them."),
    "doctor": ("springtide.cli.commands.doctor:doctor", "Check the broker of asynchronous calls, with remedies."),
    "tools": ("springtide.cli.commands.tools:tools", "Find or fetch Prometheus and Alertmanager."),
    "completion": ("springtide.cli.commands.completion:completion", "Print what bash, zsh or fish completes it by."),
    "provider": ("springtide.cli.parts.provider:provider", "Run only the provider, in the foreground."),
    "container-provider": (
        "springtide.cli.parts.container_provider:container_provider",
        "Run only the provider of containers on this machine, in the foreground.",
    ),
    "routing-provider": (
        "springtide.cli.parts.routing_provider:routing_provider",
        "Run only the provider of processes and containers on this machine, in the foreground.",
    ),
    "kubernetes-provider": (
        "springtide.cli.parts.kubernetes_provider:kubernetes_provider",
        "Run only the provider of a Kubernetes cluster, in the foreground.",
    ),
    "gateway": ("springtide.cli.parts.gateway:gateway", "Run only the gateway, in the foreground."),
    "alert-receiver": (
        "springtide.cli.parts.alert_receiver:alert_receiver",
        "Run only the alert receiver, in the foreground.",
    ),
    "queue-worker": (
        "springtide.cli.parts.queue_worker:queue_worker",
        "Run only the queue worker, in the foreground.",
    ),
    "cron": ("springtide.cli.parts.cron:cron", "Call functions by their schedules, in the foreground."),
    "connector": (
        "springtide.cli.parts.connector:connector",
        "Call functions for events of other systems, in the foreground.",
    ),
    "scaler": ("springtide.cli.parts.scaler:scaler", "Run only the scaler, in the foreground."),
    "idler": ("springtide.cli.parts.idler:idler", "Run only the idler, in the foreground."),
    "console": ("springtide.cli.parts.console:console", "Run only the console, in the foreground."),
    "control": (
        "springtide.cli.parts.control:control",
        "Run several of alert receiver, scaler, idler and console in one process, in the foreground.",
    ),
    "cluster-credentials": (
        "springtide.cli.parts.cluster_credentials:cluster_credentials",
        "Make the credentials of an installation on Kubernetes, unless there are some.",
    ),
}
"""Name to where the command is and what it does; only the one that is used gets imported."""

ALIASES = {"ls": "list", "rm": "remove", "delete": "remove"}
"""Other names that people of faas-cli know."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""A disk, a quota or a limit; where output goes, or a file."""

READER_GONE = 141
"""The exit status where nobody reads on, as of ``| head``: a shell's own for a program that SIGPIPE ended."""


class _ReaderGone(Exception):
    pass


@contextmanager
def _reader_may_go() -> Iterator[None]:
    """A closed pipe by a name of its own: of an OSError click would make status 1, as if something had failed."""
    try:
        yield
    except BrokenPipeError as error:
        raise _ReaderGone from error


class _LazyGroup(click.Group):
    def make_context(self, *words: Any, **settings: Any) -> click.Context:
        with _reader_may_go():  # `--help` and `--version` are printed here
            return super().make_context(*words, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        with _reader_may_go():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in COMMANDS:
            return None
        import_lean()
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        return cast("click.Command", getattr(importlib.import_module(module), attribute))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Of the table: click would import every command for its text, while somebody waits."""
        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's signature
    if value:
        click.echo(f"springtide {build_info.described()}")
        ctx.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print version, commit and date.",
)
def springtide() -> None:
    """Autoscaling and observability for OpenFaaS-compatible functions.

    Start with: springtide up
    """


def run(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one command line; the exit status. What we understand is told in a sentence, without a traceback."""
    options: dict[str, Any] = {"color": False} if environ.get("NO_COLOR") else {}
    try:
        result = springtide.main(
            args=list(arguments), prog_name="springtide", standalone_mode=False, obj=environ, **options
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except (_ReaderGone, OSError) as error:
        return _not_written(error)
    except UnicodeEncodeError as error:
        # An argument, a variable or a file's text: what Python reads from bytes that are no UTF-8.
        click.secho(f"springtide: {lines(error.object[:200])!r} is not text that can be sent", fg="red", err=True)
        return 1
    except SpringtideError as error:
        click.secho(f"springtide: {lines(error)}", fg="red", err=True)
        return 1
    return result if isinstance(result, int) else 0


def _not_written(error: _ReaderGone | OSError) -> int:
    """The exit status. Raises what is wrong with something else than a reader that is gone or a disk that is full."""
    if isinstance(error, _ReaderGone):
        return READER_GONE
    if error.errno not in _FULL:
        raise error
    what = "cannot write" if error.filename is None else lines(error.filename)
    click.secho(f"springtide: {what}: {error.strerror}", fg="red", err=True)
    return 1
