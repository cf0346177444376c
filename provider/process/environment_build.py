"""One environment in the making: an empty one, then the installer as a process of its own within its bounds."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from springtide.provider.process.installer import Installer, redacted
from springtide.provider.process.interpreters import Interpreter
from springtide.provider.process.requirements import REQUIREMENTS, Wanted, decoded
from springtide.runtime.durations import format_duration
from springtide.runtime.errors import BadInput
from springtide.runtime.processes import die_with_parent

Tell = Callable[[str], None]
"""Is given each line of progress; must not block."""

MAX_LINES, MAX_LINE_CHARS = 2_000, 2_000
"""Of output that is told; a build that says more goes on unheard."""
KEPT_LINES = 40
"""Of the end of the output, for the refusal."""
MEASURE_S = 2.0
NICENESS = 5
"""Calls go first."""
_READ_BYTES = 65_536
_NOISE = "Using Python "
"""What uv says of a folder that is about to be renamed."""


def make_empty(folder: Path, interpreter: Interpreter) -> Path:
    """An environment with nothing in it, as ``venv --without-pip`` makes it; returns its interpreter.

    Written here because not every Python has venv, and because of a program's start that it saves.
    """
    version = f"python{interpreter.version[0]}.{interpreter.version[1]}"
    (folder / "lib" / version / "site-packages").mkdir(parents=True)
    (folder / "lib64").symlink_to("lib")
    (folder / "bin").mkdir()
    for name in (version, "python3", "python"):
        (folder / "bin" / name).symlink_to(interpreter.path if name == version else version)
    home = Path(interpreter.path).parent
    (folder / "pyvenv.cfg").write_text(
        f"home = {home}\ninclude-system-site-packages = false\nversion = {interpreter.number}\n"
    )
    return folder / "bin" / "python"


async def install(
    wanted: Wanted, folder: Path, tool: Installer, *, tell: Tell, timeout_s: float, max_bytes: int
) -> None:
    """Install into the environment in ``folder``. Raises BadInput with the installer's own words."""
    with tempfile.TemporaryDirectory(prefix="springtide-build-") as scratch:
        words, source = await asyncio.to_thread(_arguments, wanted, Path(scratch))
        build = InstallerRun(folder, tell, max_bytes=max_bytes)
        try:
            async with asyncio.timeout(timeout_s):
                status = await build.run((*tool.command, *words), tool.environ, source)
        except TimeoutError as error:
            raise BadInput(
                f"{REQUIREMENTS}: not installed within {format_duration(timeout_s)} (build_timeout); last words of "
                f"{tool.name}:\n{build.last_words}"
            ) from error
        if build.too_large:
            raise BadInput(f"{REQUIREMENTS}: what it asks for takes more than {max_bytes >> 20} MiB (environment_size)")
        if status != 0:
            raise BadInput(f"{REQUIREMENTS}: {tool.name} could not install it:\n{build.last_words}")


def _arguments(wanted: Wanted, scratch: Path) -> tuple[tuple[str, ...], Path]:
    """What is said to the installer, and the folder in which it is said."""
    source = wanted.folder or scratch
    if wanted.folder is not None and wanted.local:
        source = scratch / "source"  # Building what is in the folder writes to it.
        shutil.copytree(wanted.folder, source, symlinks=True)
        for place, _, _ in os.walk(source):
            Path(place).chmod(0o700)
        for name in wanted.wide:
            file = source / name
            text = decoded(file.read_bytes())
            file.unlink()  # It is read-only.
            file.write_text(text)
    words: tuple[str, ...] = ("-r", REQUIREMENTS) if wanted.folder is not None else ()
    if wanted.project:
        (scratch / "project.txt").write_text("\n".join(wanted.project))
        words += ("-r", str(scratch / "project.txt"))
    return words, source


class InstallerRun:
    """One run of an installer that fills ``folder``, with all that it starts."""

    def __init__(self, folder: Path, tell: Tell, *, max_bytes: int) -> None:
        self._folder, self._tell, self._max_bytes = folder, tell, max_bytes
        self._told = 0
        self._kept: deque[str] = deque(maxlen=KEPT_LINES)
        self.too_large = False

    def __repr__(self) -> str:
        return f"<InstallerRun {self._folder} {self._told} lines>"

    @property
    def last_words(self) -> str:
        return "\n".join(self._kept)

    async def run(self, command: tuple[str, ...], environ: Mapping[str, str], source: Path) -> int:
        parent = os.getpid()
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=source,
            env=dict(environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: _before_exec(parent),
        )
        measuring = asyncio.create_task(self._measure(process.pid))
        try:
            assert process.stdout is not None
            async for line in _lines(process.stdout):
                self._hear(line)
            return await process.wait()
        finally:
            measuring.cancel()
            _kill_group(process.pid)
            await process.wait()

    def _hear(self, line: str) -> None:
        text = redacted(line)[:MAX_LINE_CHARS].rstrip()
        if text and not text.startswith(_NOISE):
            self._kept.append(text)
            self._told += 1
            if self._told <= MAX_LINES:
                self._tell(text)

    async def _measure(self, pid: int) -> None:
        while True:
            await asyncio.sleep(MEASURE_S)
            if await asyncio.to_thread(size_of, self._folder) > self._max_bytes:
                self.too_large = True
                _kill_group(pid)
                return


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[str]:
    """Lines however long; of one without an end, pieces."""
    rest = b""
    while data := await reader.read(_READ_BYTES):
        *lines, rest = re.split(rb"\r?\n|\r", rest + data)
        for line in lines:
            yield line.decode(errors="replace")
        if len(rest) > _READ_BYTES:
            yield rest.decode(errors="replace")
            rest = b""
    if rest:
        yield rest.decode(errors="replace")


def size_of(folder: Path) -> int:
    """Bytes of all the files in it."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).lstat().st_size
    return total


def _before_exec(parent: int) -> None:
    die_with_parent()
    if os.getppid() != parent:
        os._exit(1)
    os.nice(NICENESS)


def _kill_group(pid: int) -> None:
    """The installer and what it started; it has not been waited for, or its group is empty."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
