"""Options that several commands share, and how they print."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from springtide.cli.state import STATE_VARIABLE, StateFolder
from springtide.cli.target import DEFAULT_GATEWAY, Target
from springtide.cli.terminal_text import one_line
from springtide.runtime.durations import parse_duration_s
from springtide.runtime.errors import BadInput, SpringtideError

F = TypeVar("F", bound=Callable[..., Any])

COMPLETION_DEADLINE_S = 2.0
"""For a gateway's answer while somebody who has pressed a key looks at the terminal."""

state_dir_option = click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The local suite's folder.  [env: SPRINGTIDE_STATE_DIR; default: $XDG_STATE_HOME/springtide, or the same "
    "below ~/.local/state]",
)
NAMESPACE_VARIABLE = "OPENFAAS_NS"
namespace_option = click.option(
    "--namespace",
    "-n",
    help="The functions' namespace  [default: the stack file's, then $OPENFAAS_NS, then the gateway's]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def output_option(what: str) -> Callable[[F], F]:
    """--output: ``what`` goes into that file byte for byte, and is not set out for people."""
    return click.option(
        "--output",
        "-o",
        type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
        help=f"Write {what} into this file; - is standard output.",
    )


stack_option = click.option(
    "--file",
    "--yaml",
    "-f",
    "stack_file",
    metavar="FILE",
    help="A stack.yaml with functions: a path, - for what is piped in, or an address (https://…).",
)
tools_dir_option = click.option(
    "--tools-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where Prometheus and Alertmanager were unpacked; PATH is looked at first.  "
    "[env: SPRINGTIDE_TOOLS_DIR; default: .tools, where there is one, or $XDG_DATA_HOME/springtide/tools, or the same "
    "below ~/.local/share]",
)

payload_secret_option = click.option(
    "--payload-secret",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the secret that signs builds.  [env: OPENFAAS_PAYLOAD_SECRET; default: the local suite's]",
)


def state_folder(state_dir: Path | None, environ: Mapping[str, str]) -> StateFolder:
    return StateFolder(state_dir.absolute()) if state_dir is not None else StateFolder.default(environ)


def tools_folder(tools_dir: Path | None, environ: Mapping[str, str]) -> Path:
    """In a checkout what was fetched for it; else a folder of the user's, wherever the command is run."""
    if asked := tools_dir or environ.get("SPRINGTIDE_TOOLS_DIR"):
        return Path(asked).absolute()
    if (here := Path(".tools")).is_dir():
        return here.absolute()
    base = environ.get("XDG_DATA_HOME") or Path(environ.get("HOME") or Path.home()) / ".local" / "share"
    return Path(base) / "springtide" / "tools"


def with_target(command: F) -> F:
    """Adds --gateway and --state-dir; the command gets a ``target`` in their place."""

    @click.option(
        "--gateway",
        "-g",
        help="The gateway's URL  [default: stack.yaml's unless that is the last of these, then "
        "$OPENFAAS_URL, then the local suite's, then " + DEFAULT_GATEWAY + "]",
    )
    @click.option("--tls-no-verify", is_flag=True, help="Take any certificate of an https:// gateway: for tests only.")
    @state_dir_option
    @click.pass_obj
    @functools.wraps(command)
    def wrapper(
        environ: Mapping[str, str],
        /,
        *args: Any,
        gateway: str | None,
        state_dir: Path | None,
        tls_no_verify: bool,
        **options: Any,
    ) -> Any:
        if "namespace" in options and "stack_file" not in options:
            options["namespace"] = options["namespace"] or environ.get(NAMESPACE_VARIABLE)
        target = _target(environ, gateway=gateway, state_dir=state_dir, tls_no_verify=tls_no_verify)
        return command(*args, target=target, **options)

    return wrapper  # type: ignore[return-value]  # functools.wraps does not keep F


def _target(environ: Mapping[str, str], *, gateway: str | None, state_dir: Path | None, tls_no_verify: bool) -> Target:
    named = state_dir is not None or bool(environ.get(STATE_VARIABLE))
    return Target(gateway, environ, state_folder(state_dir, environ), verify=not tls_no_verify, state_named=named)


def function_argument(name: str = "name", **options: Any) -> Callable[[F], F]:
    """An argument that is a function's name, or several, which shells complete from those that are there."""
    return click.argument(name, shell_complete=_function_names, **options)


def _function_names(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Those at the gateway that the words before it name; none where it does not answer, and nothing is said."""
    given, environ = context.params, context.obj or {}
    flags: dict[str, Any] = {name: given.get(name) for name in ("gateway", "state_dir", "tls_no_verify")}
    try:
        with _target(environ, **flags).client(timeout_s=COMPLETION_DEADLINE_S) as client:
            listed = client.functions(given.get("namespace") or environ.get(NAMESPACE_VARIABLE))
    except SpringtideError:
        return []
    return sorted(name for item in listed if (name := str(item.get("name", ""))).startswith(incomplete))


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def print_table(
    head: Sequence[str], rows: Iterable[Sequence[object]], colours: Sequence[str | None] | None = None
) -> None:
    """Columns as wide as their widest cell; no trailing blanks. ``colours`` are those of the rows, on a terminal."""
    lines = [tuple(map(one_line, row)) for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for number, line in enumerate(lines):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        click.secho(cells, bold=number == 0, fg=colours[number - 1] if colours and number else None)


def duration_s(text: str, flag: str) -> float:
    """Seconds; raises BadInput naming the flag."""
    try:
        return parse_duration_s(text)
    except ValueError as error:
        raise BadInput(f"{flag}: {error}") from error


def pairs(values: Iterable[str], flag: str) -> dict[str, str]:
    """``key=value`` arguments; raises BadInput naming the flag for one without ``=``."""
    given: dict[str, str] = {}
    for value in values:
        key, equals, item = value.partition("=")
        if not equals or not key:
            raise BadInput(f"{flag} {value!r}: write key=value")
        given[key] = item
    return given
