"""The pages that alerts point to: one for each, and every name and command in them exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from springtide.alert_receiver.settings import AlertReceiverSettings
from springtide.cli.command_line import springtide
from springtide.gateway.settings import GatewaySettings
from springtide.idler.settings import IdlerSettings
from springtide.provider.process.settings import ProcessSettings
from springtide.queue_worker.settings import QueueWorkerSettings
from springtide.rules.alerts import scaling_group
from springtide.rules.operators import OperatorRules
from springtide.rules.promql import known_series, problems
from springtide.rules.runbook_index import runbook_index
from springtide.rules.thresholds import Thresholds, settings
from springtide.rules.timing import DEFAULT
from springtide.runtime.settings import declared
from springtide.scaler.core import catalogue
from springtide.scaler.core.label_table import LABELS
from springtide.scaler.core.vocabulary import Reason
from springtide.scaler.settings import ScalerSettings
from springtide.wire.jobs.callback_settings import CallbackSettings
from springtide.wire.jobs.settings import BrokerSettings

FOLDER = Path(__file__).parents[2] / "docs" / "runbooks"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
GROUPS = (scaling_group(DEFAULT), *OperatorRules().groups(DEFAULT))
ALERTS = {alert.alert for group in GROUPS for alert in group.alerts}
SECTIONS = ["What it means", "Whom it hurts", "How to look", "What to do"]
REFUSALS = {*catalogue.COLD_START_REFUSALS, catalogue.AT_CAPACITY}

pages = pytest.mark.parametrize("page", [pytest.param(path, id=path.stem) for path in PAGES])


def blocks(page: Path, language: str) -> Iterator[str]:
    for block in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL):
        yield from block.strip().splitlines()


def quoted(page: Path) -> set[str]:
    """What stands between backticks in the running text."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)))


def commands(page: Path) -> list[list[str]]:
    """The calls of ``springtide`` in blocks and in the text."""
    lines = [*blocks(page, "sh"), *quoted(page)]
    return [shlex.split(line.partition("<")[0])[1:] for line in lines if re.match(r"springtide\s", line)]


def test_every_alert_has_a_page_and_every_page_an_alert() -> None:
    assert {page.stem for page in PAGES} == ALERTS


def test_index_shows_no_placeholder_as_prometheus_has_it() -> None:
    assert "{{" not in runbook_index()


@pages
def test_page_answers_the_four_questions_in_order(page: Path) -> None:
    text = page.read_text()

    assert text.startswith(f"# {page.stem}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE)[:4] == SECTIONS
    assert list(blocks(page, "sh"))
    assert list(blocks(page, "promql"))


@pages
def test_expressions_of_a_page_use_existing_series_and_labels_only(page: Path) -> None:
    known = known_series(recording for group in GROUPS for recording in group.recordings)

    assert {expr: problems(expr, known) for expr in blocks(page, "promql")} == {
        expr: [] for expr in blocks(page, "promql")
    }


@pages
def test_commands_of_a_page_exist_with_their_options(page: Path) -> None:
    for name, *arguments in commands(page):
        command = springtide.get_command(click.Context(springtide), name)
        assert command is not None, name
        options = {option for parameter in command.params for option in parameter.opts}
        wrong = [word for word in arguments if word.startswith("-") and word != "--help" and word not in options]
        assert wrong == [], f"springtide {name}"


@pages
def test_requests_of_a_page_bring_the_credentials_they_need(page: Path) -> None:
    """The system routes answer 401 without."""
    requests = re.findall(r"^curl (?:.*\\\n)*.*$", page.read_text(), re.MULTILINE)

    assert [request for request in requests if "/system/" in request and " -u " not in request] == []


@pages
def test_names_in_the_text_of_a_page_exist(page: Path) -> None:
    classes = (
        GatewaySettings,
        ProcessSettings,
        IdlerSettings,
        AlertReceiverSettings,
        ScalerSettings,
        QueueWorkerSettings,
        BrokerSettings,
        CallbackSettings,
    )
    known = {
        *(item.env for cls in classes for item in declared(cls)),
        *(name for metric in catalogue.ALL for name in (metric.name, *metric.series)),
        *(reason.value for reason in Reason),
        *(setting.name for setting in settings(Thresholds())),
        *REFUSALS,
        *catalogue.COLD_START_PARTS,
        *catalogue.BROKEN_OFF,
        *("max_inflight", "exec_timeout"),  # the watchdog's
        *("max_file_store", "sync_interval"),  # nats-server's
        "last_active",  # a signal of the idler's sources
    }

    names = {word for word in quoted(page) if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", word)}

    assert names - known == set()


@pages
def test_labels_in_the_text_of_a_page_exist(page: Path) -> None:
    labels = {word.partition(":")[0] for word in quoted(page) if re.match(r"com\.\w+\.scale", word)}

    assert labels - {row.key for row in LABELS} == set()


@pages
def test_links_of_a_page_lead_to_pages(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())

    assert [link for link in links if not (FOLDER / link).is_file()] == []


def test_every_threshold_is_named_by_a_page() -> None:
    named = {
        name
        for page in PAGES
        for section in re.findall(r"## Thresholds\n(.*)", page.read_text(), re.DOTALL)
        for name in re.findall(r"`(\w+)`", section)
    }

    assert named == {setting.name for setting in settings(Thresholds())}


def test_numbers_in_the_texts_of_the_burn_rates_are_those_of_the_thresholds() -> None:
    thresholds = Thresholds()
    budget = 1 - thresholds.objective

    assert f"{thresholds.burn_fast * budget:.1%}".replace("%", " %") in (FOLDER / "ErrorBudgetBurnsFast.md").read_text()
    assert (
        f"{thresholds.burn_slow * budget:.0%}".replace("%", " %") in (FOLDER / "ErrorBudgetBurnsSlowly.md").read_text()
    )
    assert round(30 / thresholds.burn_fast) == 2
    assert round(30 / thresholds.burn_slow) == 5
