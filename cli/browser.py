"""A Chromium for the tests of the console: found on PATH, else Debian's headless one, unpacked with all it needs."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

from springtide.cli.debian import Progress, fetch_debian, run, unpacked_root
from springtide.cli.tools import Missing
from springtide.runtime.errors import SpringtideError

PACKAGES = ("chromium-headless-shell", "fonts-inter", "fonts-jetbrains-mono")
"""With fonts, so that pages are measured and shown alike on every machine."""

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
RUN_DEADLINE_S = 20.0
BY_HAND = "install Chromium or Chrome and put it on PATH, or run: playwright install chromium-headless-shell"

_WRAPPER = """#!/bin/sh
# Debian's Chromium, from wherever this folder is, with its libraries and fonts.
here=$(cd "${0%/*}/.." && pwd)
LD_LIBRARY_PATH=$(printf "$here/%s:" @LIBRARIES@) FONTCONFIG_FILE="$here/bin/fonts.conf"
export LD_LIBRARY_PATH FONTCONFIG_FILE
exec "$here/usr/lib/chromium/chromium-headless-shell" "$@"
"""
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">../usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir prefix="relative">../var/cache/fontconfig</cachedir>
  <alias><family>system-ui</family><prefer><family>Inter</family></prefer></alias>
  <alias><family>sans-serif</family><prefer><family>Inter</family></prefer></alias>
  <alias><family>ui-monospace</family><prefer><family>JetBrains Mono</family></prefer></alias>
  <alias><family>monospace</family><prefer><family>JetBrains Mono</family></prefer></alias>
</fontconfig>
"""


def find(tools_dir: Path, path: str) -> Path | Missing:
    """The one that was fetched, else the first on ``path`` that runs: some distributions put an empty shell there."""
    fetched = unpacked_root(tools_dir, PACKAGES).absolute() / "bin/chromium"
    if fetched.is_file():
        return fetched
    for name in NAMES:
        program = shutil.which(name, path=path)
        if program is not None and _runs(Path(program)):
            return Path(program)
    return Missing(f"no Chromium on PATH or in {tools_dir}; {BY_HAND}")


def fetch(tools_dir: Path, path: str, *, progress: Progress = lambda _: None) -> Path | Missing:
    """What ``find`` finds, else Debian's packages."""
    if isinstance(found := find(tools_dir, path), Path):
        return found

    try:
        fetch_debian(tools_dir, PACKAGES, path, dependencies=True, prepare=_prepare, progress=progress)
    except SpringtideError as error:
        return Missing(f"no Chromium: {error}; {BY_HAND}")
    return find(tools_dir, path)


def _prepare(root: Path) -> None:
    """Wrap the program so that it works from where it was unpacked, and see that it runs on this machine."""
    libraries = sorted({str(file.parent.relative_to(root)) for file in root.rglob("*.so*") if file.is_file()})
    wrapper = root / "bin/chromium"
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.with_name("fonts.conf").write_text(_FONTS)
    wrapper.write_text(_WRAPPER.replace("@LIBRARIES@", shlex.join(libraries)))
    wrapper.chmod(0o755)
    run([str(wrapper), "--version"], cwd=root, deadline_s=RUN_DEADLINE_S)


def _runs(program: Path) -> bool:
    try:
        run([str(program), "--version"], cwd=Path("/"), deadline_s=RUN_DEADLINE_S)
    except SpringtideError:
        return False
    return True
