from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from springtide.rules import __main__ as rules_command
from springtide.rules.alerts import scaling_group
from springtide.rules.operators import OperatorRules
from springtide.rules.thresholds import Thresholds, changed, settings
from springtide.rules.timing import DEFAULT
from springtide.runtime.errors import BadInput


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"objective": "1"}, "objective=1: must be above 0 and below 1", id="an objective of everything"),
        pytest.param({"objective": "99.9"}, "objective=99.9", id="percent instead of a share"),
        pytest.param({"peaks": "nan"}, "peaks=nan", id="not a number at all"),
        pytest.param({"down_s": "30s"}, "down_s=30s: not a number", id="a unit"),
        pytest.param({"objektive": "0.9"}, "objektive: no such threshold", id="a slip"),
        pytest.param({"objective": "0.9"}, "burn_fast=14.4: with objective=0.9 that is 144%", id="never reached"),
        pytest.param({"crashes": "0"}, "crashes=0: must be above 0", id="always true"),
    ],
)
def test_thresholds_refuse_what_makes_no_sense(given: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        changed(given)


def test_every_threshold_changes_a_rule() -> None:
    """One that is declared and used nowhere would be an adjustment that does nothing."""

    def rules_with(thresholds: Thresholds) -> list[object]:
        groups = (scaling_group(DEFAULT, thresholds), *OperatorRules(thresholds).groups(DEFAULT))
        return [group.as_yaml("") for group in groups]

    before = rules_with(Thresholds())
    unused = []
    for setting in settings(Thresholds()):
        other = (1 + setting.value) / 2 if setting.value < 1 else setting.value + 1
        if rules_with(changed({setting.name: str(other)})) == before:
            unused.append(setting.name)

    assert unused == []
    assert all(math.isfinite(setting.value) and setting.meaning for setting in settings(Thresholds()))


def test_own_rules_have_the_thresholds_and_links_asked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    given = ["--set", "objective=0.999", "--set", "calls_per_s=50"]
    options = ["--to", str(tmp_path), *given, "--runbooks", "https://wiki.example/x/"]

    result = CliRunner().invoke(rules_command.main, options)

    assert result.exit_code == 0, result.output
    written = yaml.safe_load((tmp_path / "operators.rules.yml").read_text())
    alerts = {rule["alert"]: rule for group in written["groups"] for rule in group["rules"] if "alert" in rule}
    assert "> 0.0144 " in alerts["ErrorBudgetBurnsFast"]["expr"]
    assert alerts["GatewayDown"]["annotations"]["runbook_url"] == "https://wiki.example/x/GatewayDown.md"
    assert "> 50\n" in (tmp_path / "scaling.rules.yml").read_text()
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(["--set", "objective=0.9"], id="without a folder"),
        pytest.param(["--to", "{}", "--set", "objective"], id="without a value"),
    ],
)
def test_own_rules_are_refused_with_a_reason(tmp_path: Path, options: list[str]) -> None:
    result = CliRunner().invoke(rules_command.main, [option.format(tmp_path) for option in options])

    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []
