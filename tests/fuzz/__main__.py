"""``python -m tests.fuzz requests|responses``: look for inputs that break the data plane, guided by coverage.

What is found is kept in a working folder, from one run to the next. ``--minimise`` replaces the corpus that is kept
with the tests by the fewest inputs that reach as much. An input that breaks something is written to the working folder;
once that is put right, it belongs into ``broken``, beside the corpus.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
TARGETS = ("requests", "responses")
MAX_INPUT_BYTES = 3000
HANGS_S = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--work", type=Path, default=HERE.parents[1] / ".fuzz", help="working folder")
    parser.add_argument("--minimise", action="store_true", help="make the corpus anew of what was found")
    parser.add_argument("libfuzzer", nargs="*", help="arguments of libFuzzer, behind a --, instead of all others")
    given = parser.parse_args()
    found = given.work / given.target
    if given.libfuzzer:
        _fuzz(given.target, given.libfuzzer)
    elif given.minimise:
        return _minimise(given.target, found)
    found.mkdir(parents=True, exist_ok=True)
    _fuzz(
        given.target,
        [
            f"-max_total_time={given.minutes * 60:.0f}",
            f"-max_len={MAX_INPUT_BYTES}",
            f"-timeout={HANGS_S}",
            f"-dict={HERE / 'http.dict'}",
            f"-artifact_prefix={given.work}/{given.target}-",
            "-print_final_stats=1",
            *map(str, (found, HERE / "corpus" / given.target)),
        ],
    )
    return 0


def _fuzz(target: str, arguments: list[str]) -> None:
    """Ends the process."""
    import atheris

    with atheris.instrument_imports(include=["gateway"]):
        module = importlib.import_module(f"tests.fuzz.{target}")
    # libFuzzer minimises in processes of its own, which it has a shell start by this name.
    atheris.Setup([f"{sys.executable} -m tests.fuzz {target} --", *arguments], module.run)
    atheris.Fuzz()


def _minimise(target: str, found: Path) -> int:
    corpus = HERE / "corpus" / target
    with tempfile.TemporaryDirectory() as name:
        least = Path(name)
        # Without counters: what is reached matters to a test, not how often.
        options = ["-merge=1", "-use_counters=0", f"-max_len={MAX_INPUT_BYTES}"]
        command = [sys.executable, "-m", "tests.fuzz", target, "--", *options]
        status = subprocess.run([*command, *map(str, (least, corpus, found))], check=False).returncode
        if status == 0:
            shutil.rmtree(corpus)
            shutil.copytree(least, corpus)
    return status


if __name__ == "__main__":
    sys.exit(main())
