from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deploy.configuration import DASHBOARDS, chart_files
from deploy.rendering import FIRST, MANIFESTS, OUTLIVING

ROOT = Path(__file__).parents[2]


def test_committed_files_are_what_the_generator_writes() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", MANIFESTS)
def test_plain_manifests_hold_no_password_and_come_in_order(name: str) -> None:
    found = [one["kind"] for one in yaml.safe_load_all((ROOT / "deploy" / "manifests" / name).read_text())]
    ranks = [FIRST.index(kind) if kind in FIRST else len(FIRST) for kind in found]

    assert not {"Secret", *OUTLIVING} & set(found), "kubectl delete -f would take the functions with it"
    assert "Job" in found
    assert ranks == sorted(ranks)


def test_rules_and_dashboards_of_the_chart_are_the_committed_ones() -> None:
    files = chart_files()
    committed = [*(ROOT / "rules" / "generated").glob("*.rules.yml"), *DASHBOARDS.glob("*.json")]

    assert len(committed) >= 3
    for path in committed:
        lines = [line for line in path.read_text().splitlines() if "do not edit" not in line]
        assert files[path.name].split() == "\n".join(lines).split()
