"""Prometheus, Alertmanager and their checkers: found on PATH or in a folder, else fetched from Debian."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from springtide.cli.debian import Progress, fetch_debian, run, unpacked_root
from springtide.runtime.errors import SpringtideError

__all__ = ["Missing", "Tools", "fetch", "fetch_debian", "find"]

PACKAGES = ("prometheus", "prometheus-alertmanager")
NAMES = {
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "alertmanager": ("alertmanager", "prometheus-alertmanager"),
    "amtool": ("amtool",),
}
"""Each program's names; Debian gives one of them its own."""

RUN_DEADLINE_S = 20.0
BY_HAND = "install Prometheus and Alertmanager yourself and put them on PATH"

TEMPLATES, TEMPLATES_HERE = b"/usr/share/prometheus/alertmanager", b"usr//share/prometheus/alertmanager"
WRAPPER = """#!/bin/sh
# Debian's Alertmanager reads its templates from /usr/share. This copy reads them below its working folder.
cd "${0%/*}/.." && exec usr/bin/prometheus-alertmanager "$@"
"""


@dataclass(frozen=True, slots=True)
class Tools:
    prometheus: Path
    """Debian's, when fetched, answers its API but has no web pages: those need the package installed."""
    promtool: Path
    alertmanager: Path
    """Give it absolute paths: it may work in a folder of its own."""
    amtool: Path


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there are no tools, in one line, with the remedy."""

    why: str


def find(tools_dir: Path, path: str) -> Tools | Missing:
    """The programs, each where it is first seen: on ``path``, in ``tools_dir``, among the packages fetched into it."""
    fetched = unpacked_root(tools_dir, PACKAGES)
    folders = os.pathsep.join([path, str(tools_dir), str(fetched / "bin"), str(fetched / "usr/bin")])
    found = {
        tool: next((Path(at).absolute() for name in names if (at := shutil.which(name, path=folders))), None)
        for tool, names in NAMES.items()
    }
    absent = sorted(tool for tool, at in found.items() if at is None)
    if absent:
        remedy = f"fetch them with `springtide tools --fetch`, or {BY_HAND}"
        return Missing(f"{', '.join(absent)} found neither on PATH nor in {tools_dir}; {remedy}")
    return Tools(**{tool: at for tool, at in found.items() if at is not None})


def fetch(tools_dir: Path, path: str, *, progress: Progress = lambda _: None) -> Tools | Missing:
    """What ``find`` finds, else Debian's packages. ``progress`` is told of each step in a few words."""
    if isinstance(tools := find(tools_dir, path), Tools):
        return tools
    try:
        fetch_debian(tools_dir, PACKAGES, path, prepare=_prepare, progress=progress)
    except SpringtideError as error:
        return Missing(f"{error}; {BY_HAND}")
    return find(tools_dir, path)


def _prepare(root: Path) -> None:
    """Make Alertmanager work from where it was unpacked, and see that everything runs on this machine."""
    program = root / "usr/bin/prometheus-alertmanager"
    # The path is compiled in and cannot be set. Its replacement is as long, and relative: "usr//share" is "usr/share".
    program.write_bytes(program.read_bytes().replace(TEMPLATES, TEMPLATES_HERE))
    wrapper = root / "bin/alertmanager"
    wrapper.parent.mkdir(exist_ok=True)
    wrapper.write_text(WRAPPER)
    wrapper.chmod(0o755)
    for name in ("usr/bin/prometheus", "usr/bin/promtool", "bin/alertmanager", "usr/bin/amtool"):
        run([str(root / name), "--version"], cwd=root, deadline_s=RUN_DEADLINE_S)
