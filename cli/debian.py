"""Debian's packages without installing them: downloaded by apt-get and unpacked by ``dpkg -x`` into a folder.

Needs no root, changes nothing outside the folder and starts nothing. Where the system's package lists do not serve
(many images ship none), apt works with lists of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from springtide.runtime.errors import Unavailable, Unsupported

UPDATE_DEADLINE_S, DOWNLOAD_DEADLINE_S, UNPACK_DEADLINE_S = 180.0, 300.0, 120.0

Progress = Callable[[str], None]
Prepare = Callable[[Path], None]


def unpacked_root(tools_dir: Path, packages: Sequence[str]) -> Path:
    """Where ``fetch_debian`` unpacks these packages."""
    return tools_dir / "+".join(sorted(packages))


def fetch_debian(
    tools_dir: Path,
    packages: Sequence[str],
    path: str,
    *,
    dependencies: bool = False,
    prepare: Prepare = lambda _: None,
    progress: Progress = lambda _: None,
) -> Path:
    """The folder under which ``packages`` are unpacked, there already or fetched now.

    With ``dependencies`` all that they need and this system lacks is unpacked beside them, else they alone.
    ``prepare`` is given the unpacked folder before it counts as done, and may raise. ``progress`` is told of each step
    in a few words. The folder is whole or absent. Raises Unsupported on a system without apt and Unavailable when the
    packages cannot be had.
    """
    root = unpacked_root(tools_dir, packages)
    if _is_folder(root):
        return root
    apt, dpkg = shutil.which("apt-get", path=path), shutil.which("dpkg", path=path)
    if apt is None or dpkg is None:
        raise Unsupported("not a Debian or Ubuntu system: there is no apt-get")
    with _scratch(tools_dir) as scratch:
        unpacked = scratch / "root"
        for archive in _Apt(apt, scratch, progress, dependencies=dependencies).download(packages):
            progress(f"unpacking {archive.name.partition('_')[0]}")
            run([dpkg, "-x", str(archive), str(unpacked)], cwd=scratch, deadline_s=UNPACK_DEADLINE_S)
        prepare(unpacked)
        with contextlib.suppress(OSError):  # another process may have been faster; its result is as good
            unpacked.rename(root)
    if not _is_folder(root):
        raise Unavailable(f"cannot create {root}")
    return root


class _Apt:
    """Downloads into a scratch folder, as any user."""

    def __init__(self, apt: str, scratch: Path, progress: Progress, *, dependencies: bool) -> None:
        self._apt, self._scratch, self._progress = apt, scratch, progress
        self._dependencies = dependencies

    def download(self, packages: Sequence[str]) -> list[Path]:
        """The archives. The system's package lists are tried first, then fresh ones: many images ship none at all."""
        names = ", ".join(packages)
        self._progress(f"downloading {names}")
        try:
            return self._download(packages, self._settings("system", []))
        except Unavailable:
            self._progress("fetching Debian's package lists")
            own = self._own_lists()
            complaint = self._call(["update"], own, deadline_s=UPDATE_DEADLINE_S)
            self._progress(f"downloading {names}")
            try:
                return self._download(packages, own)
            except Unavailable as error:
                # An update that reached nobody succeeds with a warning, and only that names the cause.
                raise Unavailable(_cause(complaint) or str(error)) from error

    def _download(self, packages: Sequence[str], settings: Path) -> list[Path]:
        archives = self._scratch / f"{settings.stem}-archives"
        (archives / "partial").mkdir(parents=True)
        command = ["download"]
        if self._dependencies:
            # Resolved against what is installed here. The lock is for those who install, which we do not.
            own = ("Debug::NoLocking=1", f"Dir::Cache::Archives={archives}")
            command = ["install", "--download-only", "--no-install-recommends", "-y", *(f"-o{item}" for item in own)]
        self._call([*command, *packages], settings, cwd=archives, deadline_s=DOWNLOAD_DEADLINE_S)
        return sorted(archives.glob("*.deb"))

    def _own_lists(self) -> Path:
        lists, cache = self._scratch / "lists", self._scratch / "cache"
        (lists / "partial").mkdir(parents=True)
        (cache / "archives/partial").mkdir(parents=True)
        return self._settings("own", [f'Dir::State::Lists "{lists}";', f'Dir::Cache "{cache}";'])

    def _settings(self, name: str, more: list[str]) -> Path:
        """An apt.conf read after the system's own, whose hooks are for root and for the system's lists."""
        lines = [
            # As root, apt downloads as a user that cannot write into our folder, and warns of it.
            'APT::Sandbox::User "root";',
            'Acquire::Retries "2";',
            'Acquire::http::Timeout "20";',
            'Acquire::https::Timeout "20";',
            'Acquire::Languages "none";',
            "#clear APT::Update::Pre-Invoke;",
            "#clear APT::Update::Post-Invoke;",
            "#clear APT::Update::Post-Invoke-Success;",
            *more,
        ]
        file = self._scratch / f"{name}.conf"
        file.write_text("\n".join(lines) + "\n")
        return file

    def _call(self, arguments: list[str], settings: Path, *, deadline_s: float, cwd: Path | None = None) -> str:
        return run([self._apt, "-qq", "-c", str(settings), *arguments], cwd=cwd or self._scratch, deadline_s=deadline_s)


@contextlib.contextmanager
def _scratch(tools_dir: Path) -> Iterator[Path]:
    """A folder beside the result, so that a rename suffices; gone afterwards, whatever happens."""
    try:
        tools_dir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".fetching-", dir=tools_dir.absolute()))
    except OSError as error:
        raise Unavailable(f"cannot write into {tools_dir}: {error.strerror}") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(command: list[str], *, cwd: Path, deadline_s: float) -> str:
    """Run to a good end in time and return what was written to stderr.

    Otherwise the whole process group is ended and Unavailable says why in one line.
    """
    what = " ".join(
        [Path(command[0]).name, *(word for word in command[1:] if word in ("update", "download", "install"))]
    )
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable(f"{what} does not run on this machine: {error.strerror}") from error
    try:
        _, complaint = process.communicate(timeout=deadline_s)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{what} did not finish within {deadline_s:g} s") from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        raise Unavailable(f"{what} failed: {_cause(complaint) or f'status {process.returncode}'}")
    return complaint


def _cause(complaint: str) -> str:
    """The first error in what apt or dpkg wrote, else the first line: what follows are consequences."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E: ", "dpkg"))]
    return re.sub(r"^[EW]: ", "", (errors or lines or [""])[0])


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False
