"""Values of the chart that pages set by ``helm --set`` are there and are taken: no cluster runs those commands."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.exceptions import ValidationError
from jsonschema.validators import validator_for

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "deploy" / "chart" / "values.schema.json").read_text())
VALUES = validator_for(SCHEMA)(SCHEMA)
SET = re.compile(r"--set (?P<key>[a-z]\w*(?:\.\w+)*)=(?P<value>'[^']*'|[^\s`]*)")
NOT_OF_HELM = {"objective", "cold_start_p95_s"}
"""Of ``python -m springtide.rules``."""

WRITTEN = sorted(
    {
        (page.relative_to(ROOT).as_posix(), found["key"], found["value"].strip("'"))
        for page in (ROOT / "docs").rglob("*.md")
        for found in SET.finditer(page.read_text())
        if found["key"] not in NOT_OF_HELM
    }
)
FILES = sorted(
    (page.relative_to(ROOT).as_posix(), block)
    for page in (ROOT / "docs").rglob("*.md")
    for block in re.findall(r"^```yaml[^\n]*\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    if set(yaml.safe_load(block)) & set(SCHEMA["properties"]) and "functions" not in yaml.safe_load(block)
)


def nested(key: str, text: str) -> dict[str, Any]:
    """As Helm reads it."""
    value: Any = yaml.safe_load(text.replace("\\", ""))
    for name in reversed(key.split(".")):
        value = {name: value}
    return dict(value)


@pytest.mark.parametrize(("page", "key", "value"), WRITTEN)
def test_a_value_that_a_page_sets_is_taken(page: str, key: str, value: str) -> None:
    VALUES.validate(nested(key, value))


@pytest.mark.parametrize(("page", "text"), FILES, ids=[page for page, _ in FILES])
def test_a_file_of_values_that_a_page_shows_is_taken(page: str, text: str) -> None:
    VALUES.validate(yaml.safe_load(text))


def test_pages_set_values() -> None:
    assert len(WRITTEN) > 20
    assert [page for page, _ in FILES] != []


def test_a_value_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValidationError, match="nonsense"):
        VALUES.validate(nested("gateway.nonsense", "1"))
