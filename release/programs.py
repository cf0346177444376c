"""Running the programs that make and check a release's files."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from release.errors import Failed

DEADLINE_S = 600.0
MAX_TOLD_CHARS = 4000


def run(
    command: Sequence[str | Path],
    *,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    standard_input: bytes = b"",
    deadline_s: float = DEADLINE_S,
) -> bytes:
    """What it writes to its standard output. Raises Failed, with the end of what it said, where its status is not 0."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            cwd=folder,
            env=environ,
            input=standard_input,
            capture_output=True,
            timeout=deadline_s,
            umask=0o022,  # modes are part of an archive's bytes
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(words)}: did not end within {deadline_s:g} s") from error
    except OSError as error:
        raise Failed(f"{words[0]}: {error.strerror}") from error
    if done.returncode:
        told = (done.stdout + done.stderr).decode(errors="replace").strip()[-MAX_TOLD_CHARS:]
        raise Failed(f"{' '.join(words)}: exit status {done.returncode}\n{told}")
    return done.stdout
