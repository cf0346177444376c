"""The source distribution, and the wheel that is built from it, as an installer would."""

from __future__ import annotations

import os
import sys
import tarfile
import tempfile
from pathlib import Path

from release.archives import read_tar_gz, write_tar_gz
from release.preconditions import Release
from release.programs import run


def build(release: Release, staged: Path, out: Path) -> tuple[Path, Path]:
    """Both, in ``out``. With the setuptools of this environment: what a release is made by is what tests ran with."""
    environ = {**os.environ, "SOURCE_DATE_EPOCH": str(release.date_s)}
    python = [sys.executable, "-m", "build", "--no-isolation"]
    run([*python, "--sdist", "--outdir", out, staged], environ=environ)
    sdist = out / f"springtide-{release.version}.tar.gz"
    # setuptools packs it with the times and the owner of the files it has just made.
    write_tar_gz(sdist, read_tar_gz(sdist), date_s=release.date_s)
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        unpacked = Path(folder) / f"springtide-{release.version}"
        run([*python, "--wheel", "--outdir", out, unpacked], environ=environ)
    return sdist, out / f"springtide-{release.version}-py3-none-any.whl"
