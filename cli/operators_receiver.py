"""How people are told of alerts: a receiver in Alertmanager's own words, in a file of the user's."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

from springtide.cli.stack_source import text_of
from springtide.cli.yaml_problems import place_and_remedy
from springtide.cli.yaml_text import check_bounds
from springtide.rules.model import Yaml
from springtide.runtime.errors import BadInput

FLAG = "--operators-receiver"
CHECK_DEADLINE_S = 60.0
_KEY = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*_configs")
_EXAMPLE = "write\nslack_configs:\n  - api_url: https://hooks.slack.com/services/…\n    channel: '#functions'"


def read(file: Path) -> Yaml:
    """Raises BadInput naming the file, and the key or the place. Whether its values are right Alertmanager knows."""
    text = text_of(file)
    try:
        check_bounds(text)
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"{FLAG} {file}: not YAML: {place_and_remedy(error, text)}") from error
    if not isinstance(found, dict) or not found:
        raise BadInput(f"{FLAG} {file}: it has no receiver; {_EXAMPLE}")
    for key, value in found.items():
        if not isinstance(key, str) or not _KEY.fullmatch(key) or not isinstance(value, list):
            raise BadInput(f"{FLAG} {file}: {key}: no list of a receiver's; {_EXAMPLE}")
    return found


def check(file: Path, amtool: Path, configuration: Path) -> None:
    """Whether Alertmanager takes the ``configuration`` that was made with the ``file``. Raises BadInput."""
    words = [str(amtool), "check-config", str(configuration)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=CHECK_DEADLINE_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return  # Alertmanager says the same in its log.
    if done.returncode:
        said = " ".join(done.stdout.partition("FAILED: ")[2].split())
        raise BadInput(f"{FLAG} {file}: Alertmanager does not take it: {said or done.stderr.strip()}")
