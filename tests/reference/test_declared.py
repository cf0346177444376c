"""What the reference is made from lacks nothing: a name that the code uses is in a table."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest

import springtide
from reference.command_line import contexts
from springtide.cli import command_line
from springtide.cli.variables import VARIABLES
from springtide.provider.annotation_table import ANNOTATIONS
from springtide.provider.containers import container_labels
from springtide.provider.kubernetes.manifests.keys import KEPT
from springtide.scaler.core import catalogue, explain, vocabulary
from springtide.scaler.core.label_names import MEANT
from springtide.scaler.core.label_table import LABELS
from springtide.triggers.sources import kinds

KEY = re.compile(r"com\.(openfaas|springtide)\.[a-zA-Z._-]+")
OTHERS = {
    *MEANT,
    # Names in an archive that is built from.
    *("com.openfaas.docker.config", "com.openfaas.secrets"),
    *container_labels.ALL,
}
EVENT_TYPES = re.compile(r"com\.springtide\.(nats|mqtt|redis|kafka|rabbitmq|sqs|postgres|directory|schedule)\.[a-z]+")


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (one for key, inner in value.items() for one in (*strings(key), *strings(inner)))
    elif isinstance(value, tuple | list | set | frozenset):
        yield from (one for inner in value for one in strings(inner))


def test_every_constant_that_looks_like_a_label_or_an_annotation_is_in_a_table() -> None:
    """Read from the modules, so that one put together from a prefix is found, too."""
    known = {*(row.key for row in (*LABELS, *ANNOTATIONS)), *(kept.key for kept in KEPT), *OTHERS}
    beginnings = tuple(key[: at + 1] for key in known for at in range(len(key)) if key[at] == ".")
    names = [found.name for found in pkgutil.walk_packages(springtide.__path__, "springtide.")]
    used = {
        (name, text)
        for name in names
        if not name.endswith("__main__")
        for value in vars(importlib.import_module(name)).values()
        for text in strings(value)
        if KEY.fullmatch(text) and not EVENT_TYPES.fullmatch(text)
    }

    assert len(used) > len(LABELS)
    assert {(name, text) for name, text in used if text not in known and text not in beginnings} == set()


def test_every_label_of_a_metric_is_explained_and_none_that_there_is_not() -> None:
    assert set(catalogue.LABELS) == {label for metric in catalogue.ALL for label in metric.labels}


def test_every_reason_is_in_one_group_says_something_and_is_somebodys() -> None:
    grouped = [reason for group in vocabulary.GROUPS.values() for reason in group]

    assert sorted(grouped) == sorted(vocabulary.Reason)
    assert set(explain.REASONS) == set(vocabulary.Reason)
    assert {reason for reasons in vocabulary.REASONS.values() for reason in reasons} == set(vocabulary.Reason)


CONTEXTS = list(contexts(click.Context(command_line.springtide, info_name="springtide")))


@pytest.mark.parametrize("context", CONTEXTS, ids=lambda context: context.command_path)
def test_every_command_and_option_says_what_it_is_for(context: click.Context) -> None:
    options = [each for each in context.command.params if isinstance(each, click.Option) and not each.hidden]

    assert context.command.help
    assert [option.opts for option in options if not option.help] == []


def test_every_variable_that_commands_look_at_is_declared() -> None:
    """Settings, in small letters, are declared by the parts."""
    files = sorted((Path(__file__).parents[2] / "cli").rglob("*.py"))
    used = {name for file in files for name in variables(file) if name.isupper()}

    assert used == set(VARIABLES)


def variables(file: Path) -> Iterator[str]:
    """What is looked up in a mapping called ``environ``, written there or a constant of the module."""
    tree = ast.parse(file.read_text())
    dotted = ".".join(("springtide", *file.relative_to(Path(__file__).parents[2]).with_suffix("").parts))
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=place, attr="get"), args=[key, *_]) if named_environ(place):
                yield value_of(key, dotted)
            case ast.Subscript(value=place, slice=key) if named_environ(place):
                yield value_of(key, dotted)


def named_environ(node: ast.expr) -> bool:
    return getattr(node, "id", getattr(node, "attr", "")) == "environ"


def value_of(key: ast.expr, module: str) -> str:
    if isinstance(key, ast.Constant):
        return str(key.value)
    return str(getattr(importlib.import_module(module), key.id, "")) if isinstance(key, ast.Name) else ""


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_defaults_of_a_source_are_told_as_they_can_be_written(kind: str) -> None:
    shown = [item for item in kinds.settings(kind) if item.shown_default]

    assert shown
    assert [item.kind(item.shown_default) for item in shown] == [item.default for item in shown]
