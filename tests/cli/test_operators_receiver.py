"""The file that says how people are told of alerts: read, refused with place and remedy, and taken by Alertmanager."""

from __future__ import annotations

from pathlib import Path

import pytest

from springtide.cli.operators_receiver import check, read
from springtide.cli.tools import Tools
from springtide.rules.alertmanager import Webhook, alertmanager_configuration
from springtide.rules.timing import DEFAULT
from springtide.runtime.errors import BadInput

RECEIVER = "webhook_configs:\n  - url: http://127.0.0.1:9/told\n    send_resolved: {resolved}\n"


def file(folder: Path, text: str) -> Path:
    path = folder / "pager.yaml"
    path.write_text(text)
    return path


def configuration(folder: Path, pager: Path) -> Path:
    path = folder / "alertmanager.yml"
    path.write_text(alertmanager_configuration(DEFAULT, Webhook("http://127.0.0.1:9/"), read(pager)))
    return path


def test_values_are_what_yaml_says(tmp_path: Path) -> None:
    told = {"url": "http://127.0.0.1:9/told", "send_resolved": True}

    assert read(file(tmp_path, RECEIVER.format(resolved="true"))) == {"webhook_configs": [told]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "has no receiver; write\nslack_configs:", id="nothing"),
        pytest.param("- url: x", "has no receiver", id="a list"),
        pytest.param("name: me\nslack_configs: []", "name: no list of a receiver's", id="a name"),
        pytest.param("slack_configs: {}", "slack_configs: no list of a receiver's", id="no list"),
        pytest.param("slack_configs: [", "not YAML", id="no YAML"),
    ],
)
def test_what_is_no_receiver_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as refused:
        read(file(tmp_path, text))

    assert str(refused.value).startswith(f"--operators-receiver {tmp_path}/pager.yaml: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.yaml: No such file"):
        read(tmp_path / "gone.yaml")


def test_alertmanager_takes_it_or_says_why_not(tmp_path: Path, tools: Tools) -> None:
    good = file(tmp_path, RECEIVER.format(resolved="true"))
    check(good, tools.amtool, configuration(tmp_path, good))

    bad = file(tmp_path, RECEIVER.format(resolved="perhaps"))
    with pytest.raises(BadInput, match=r"Alertmanager does not take it: yaml: .*perhaps"):
        check(bad, tools.amtool, configuration(tmp_path, bad))
