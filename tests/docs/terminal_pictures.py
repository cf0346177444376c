"""Takes the pictures of terminals in the documentation, from commands that run beside a suite at work.

python -m tests.docs.terminal_pictures
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.e2e.conftest import ROOT, Running, running

DOCS = ROOT / "docs"
WIDTH = 160
LONGEST_S = 300.0
COMMANDS = {
    DOCS / "demo.svg": ("demo",),
    DOCS / "screenshots" / "explain.svg": ("explain", "checkout"),
    DOCS / "screenshots" / "top.svg": ("top", "--once"),
}
HANDLER = """\
import time


def handle(event, context):
    time.sleep(0.3)
    return {"statusCode": 200, "body": "Hello"}
"""
_FONTS = re.compile(r"@font-face \{.*?\}\n", re.DOTALL)
"""The reader's own: others would come from elsewhere."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "state", "--fast", "--no-samples") as suite:
        (Path(folder) / "checkout").mkdir()
        (Path(folder) / "checkout" / "handler.py").write_text(HANDLER)
        suite.deploy("checkout", Path(folder) / "checkout", type="capacity", target="2", max="10")
        for picture, words in COMMANDS.items():
            if "demo" not in words:
                call_often(suite, "checkout")
            picture.write_text(svg(f"springtide {' '.join(words)}", on_a_terminal(suite, words)))


def call_often(suite: Running, name: str) -> None:
    url = f"{suite.gateway}/function/{name}"
    command = f"seq 200 | xargs -P 20 -I{{}} curl --silent --output /dev/null {url}"
    subprocess.run(["sh", "-c", command], check=True, timeout=LONGEST_S)


def on_a_terminal(suite: Running, words: tuple[str, ...]) -> str:
    """What it prints to somebody who looks: ``script`` is a terminal to it."""
    command = f"stty cols {WIDTH}; exec {sys.executable} -m springtide.cli {' '.join(words)}"
    ran = subprocess.run(
        ["script", "--quiet", "--return", "--command", command, os.devnull],
        cwd=ROOT,
        env=dict(os.environ, SPRINGTIDE_STATE_DIR=str(suite.state), TERM="xterm-256color", COLUMNS=str(WIDTH)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=True,
    )
    return ran.stdout.replace("\r\n", "\n")


def svg(title: str, printed: str) -> str:
    console = Console(record=True, width=WIDTH, file=StringIO())
    console.print(Text.from_ansi(printed.strip("\n")))
    return _FONTS.sub("", console.export_svg(title=title))


if __name__ == "__main__":
    main()
