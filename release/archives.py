"""Tar archives that are the same bytes whenever, wherever and by whomever they are written."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path


def write_tar_gz(target: Path, files: Mapping[str, bytes], *, date_s: int) -> None:
    """Names to contents, in the order of the names; nobody's, readable by all, of ``date_s``."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(files[name]), date_s, 0o644
            archive.addfile(entry, io.BytesIO(files[name]))
    target.write_bytes(gzip.compress(plain.getvalue(), 9, mtime=date_s))


def read_tar_gz(source: Path) -> dict[str, bytes]:
    """Its plain files."""
    with tarfile.open(source) as archive:
        files = [entry for entry in archive if entry.isfile()]
        return {entry.name: opened.read() for entry in files if (opened := archive.extractfile(entry)) is not None}
