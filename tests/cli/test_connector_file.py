"""Which sources a connector has, by file and by environment, and what is said where something is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from springtide.cli import connector_file
from springtide.cli.command_line import run
from springtide.cli.connector_file import ConnectorFile, SourceLines
from springtide.runtime.errors import BadInput, Unsupported
from springtide.triggers.sources import kinds


def test_a_file_has_settings_and_sources() -> None:
    text = """
gateway_url: http://gateway:8080
sources:
  - kind: nats
    topics: [orders.new, "orders.paid"]
  - kind: nats
    name: stream
    topics: a, b
    stream: ORDERS
    ack_wait: 90s
    ca_path:
"""
    assert connector_file.from_text(text, "f") == ConnectorFile(
        {"gateway_url": "http://gateway:8080"},
        (
            SourceLines("nats", "nats", {"topics": "orders.new,orders.paid"}),
            SourceLines("nats", "stream", {"topics": "a, b", "stream": "ORDERS", "ack_wait": "90s", "ca_path": ""}),
        ),
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sources: nats", r"f: it has no list of sources; write"),
        ("", r"f: it has no list of sources; write"),
        ("sources: []", r"f: it has no list of sources; write"),
        ("sources: [{topics: a}]", r"f: sources\[0\]: it has no kind; write kind: and one of .*nats"),
        ("sources: [{kind: natz}]", r"f: sources\[0\]: kind: 'natz' is none of .*; nats\?"),
        ("sources: [{kind: nats, name: A B}]", r"f: sources\[0\].name: 'A B' is no name; take small letters"),
        ("sources: [{kind: nats}, {kind: nats}]", "f: several sources are called nats; give each a name"),
        ("sources: [{kind: nats, topics: {a: b}}]", r"f: sources\[0\].topics: it is neither a text nor a list"),
        ("sources: [" + "{kind: nats}, " * 101 + "]", "f: 101 sources; a connector has at most 100"),
        ("sources: [", "f: not YAML"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(text: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        connector_file.from_text(text, "f")


def test_an_environment_as_openfaas_has_it_is_one_source() -> None:
    environ = {"broker_host": "nats:4222", "topics": "a,b", "nats_group": "g", "nats_topics": "c", "path": "/"}

    assert connector_file.from_environment("nats", environ) == SourceLines(
        "nats", "nats", {"url": "nats:4222", "topics": "c", "group": "g"}
    )


def test_all_that_is_wrong_with_a_source_is_told_at_once() -> None:
    with pytest.raises(BadInput) as told:
        kinds.build("nats", "orders", {"topicz": "a", "ack_wait": "1s", "url": "nats://u:p4ss@h"})

    assert str(told.value).splitlines() == [
        "source orders: topicz: there is no such key; topics?",
        "source orders: url: an address of a server holds a user or a password; put them into credentials_path",
        "source orders: ack_wait: 1 is out of range; it must be between 30 and 3600",
    ]
    with pytest.raises(BadInput, match=r"source orders: topics: there is none; write topics: \[orders.new\]"):
        kinds.build("nats", "orders", {})


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_missing_library_is_told_with_its_remedy(kind: str, monkeypatch: Any) -> None:
    known = kinds.KINDS[kind]
    if not known.packages:
        pytest.skip("it needs none")
    for module in [name for name in sys.modules if name.partition(".")[0] == known.packages[0]]:
        monkeypatch.delitem(sys.modules, module)
    for module in list(sys.modules):
        if module.startswith((f"springtide.triggers.sources.{kind}", "springtide.wire.jobs.nats.")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, known.packages[0], None)

    with pytest.raises(Unsupported, match=rf"of the kind {kind} needs the package .*; pip install 'springtide\["):
        kinds.build(kind, "x", {"topics": "a"})


BOTH_WRONG = "sources: [{kind: nats, name: a}, {kind: directory, name: b}]"


@pytest.mark.parametrize(
    ("words", "text", "told"),
    [
        ((), "", "a connector needs a FILE with its sources, or --kind, one of nats"),
        (("--kind", "natz"), "", "kind: 'natz' is none of"),
        (("f.yaml",), "gateway: x\nsources: [{kind: nats, topics: a}]", "f.yaml: gateway: there is no such setting"),
        (("f.yaml",), "max_inflight: 0\nsources: [{kind: nats, topics: a}]", "max_inflight: 0 is out of range"),
        (("f.yaml",), "sources: [{kind: nats, topics: a}]", "secret_mount_path: "),
        (("f.yaml",), "sources: [{kind: nats, topics: a}]", "basic-auth-user: No such file"),
        (("f.yaml",), "sources: [{kind: nats, topics: a}]", "`springtide up` has them"),
        (("f.yaml",), BOTH_WRONG, "source a: topics: there is none"),
        (("f.yaml",), BOTH_WRONG, "source b: path: there is none"),
    ],
)
def test_the_command_says_what_it_lacks(
    words: tuple[str, ...], text: str, told: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.yaml").write_text(text)
    environ = {"SPRINGTIDE_STATE_DIR": str(tmp_path / "none"), "secret_mount_path": str(tmp_path)}

    assert run(["connector", *words], environ) == 1

    assert told in capsys.readouterr().err
