"""The same done to many functions: one that fails leaves the others to be done; at the end a table says what was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import click

from springtide.cli.commands.options import print_json, print_table
from springtide.cli.gateway_client import NoGateway
from springtide.cli.terminal_text import lines, one_line
from springtide.runtime.errors import SpringtideError, Unauthenticated

MAX_CELL_CHARS = 100
"""Of a problem in the table; it has been told whole before."""


class Result(StrEnum):
    DONE = "done"
    FAILED = "failed"
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Outcome:
    """``told`` is what came of it: a sentence, an address."""

    name: str
    namespace: str | None
    result: Result
    told: str


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do to one function; ``work`` returns what came of it, or raises SpringtideError."""

    name: str
    namespace: str | None
    work: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Verb:
    """``done`` is ``deployed``, say; what ``work`` returns is under ``address`` in JSON, else behind ``label``."""

    done: str
    address: str = "told"
    label: str = "URL"


def do_all(tasks: Sequence[Task], verb: Verb, *, as_json: bool) -> int:
    """The exit status. Of a single task a failure is raised as it is.

    When there is no gateway, or it does not take the credentials, the rest is not tried: it would end alike.
    """
    outcomes: list[Outcome] = []
    hopeless = False
    for task in tasks:
        if hopeless:
            outcomes.append(Outcome(task.name, task.namespace, Result.NOT_TRIED, ""))
            continue
        try:
            outcome = Outcome(task.name, task.namespace, Result.DONE, task.work())
            _tell(outcome, verb, as_json=as_json)
        except SpringtideError as error:
            if len(tasks) == 1:
                raise
            hopeless = isinstance(error, NoGateway | Unauthenticated)
            outcome = Outcome(task.name, task.namespace, Result.FAILED, str(error))
            click.secho(f"springtide: {one_line(task.name)} is not {verb.done}: {lines(error)}", fg="red", err=True)
        outcomes.append(outcome)
    if as_json:
        print_json([_json(outcome, verb) for outcome in outcomes])
    elif len(outcomes) > 1:
        _print_outcomes(outcomes, verb)
    return int(any(outcome.result is not Result.DONE for outcome in outcomes))


def _tell(outcome: Outcome, verb: Verb, *, as_json: bool) -> None:
    if not as_json:
        told = f" {verb.label}: {outcome.told}" if outcome.told else ""
        click.echo(f"{verb.done.capitalize()} {outcome.name}.{told}")


def _print_outcomes(outcomes: Sequence[Outcome], verb: Verb) -> None:
    click.echo()
    rows = [(outcome.name, outcome.namespace or "", _word(outcome, verb), _cell(outcome.told)) for outcome in outcomes]
    print_table(
        ("Function", "Namespace", "Result", ""),
        rows,
        colours=[None if outcome.result is Result.DONE else "red" for outcome in outcomes],
    )


def _cell(told: str) -> str:
    line = told.partition("\n")[0]
    return line if len(line) <= MAX_CELL_CHARS else line[: MAX_CELL_CHARS - 1] + "…"


def _word(outcome: Outcome, verb: Verb) -> str:
    return verb.done if outcome.result is Result.DONE else outcome.result


def _json(outcome: Outcome, verb: Verb) -> dict[str, str]:
    value = {"name": outcome.name, "namespace": outcome.namespace or "", "result": _word(outcome, verb)}
    if outcome.result is Result.FAILED:
        value["problem"] = outcome.told
    elif outcome.told:
        value[verb.address] = outcome.told
    return {key: item for key, item in value.items() if item}
