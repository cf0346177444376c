"""The chart as ``helm package`` writes it: a compressed tar of one folder that has the chart's name.

Written here, so that it is the same bytes each time (Helm's has the time of its making) and needs no helm. What Helm
makes of the same folder, and of this file, is compared by the tests.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from release.archives import write_tar_gz
from release.preconditions import Release


def package(release: Release, staged: Path, out: Path) -> Path:
    folder = staged / "deploy" / "chart"
    about = yaml.safe_load((folder / "Chart.yaml").read_text())
    target = out / f"{about['name']}-{about['version']}.tgz"
    files = {f"{about['name']}/{path}": (folder / path).read_bytes() for path in files_of(folder)}
    write_tar_gz(target, files, date_s=release.date_s)
    return target


def files_of(folder: Path) -> list[Path]:
    """What Helm packs, relative to the ``folder``: our .helmignore leaves out what is hidden and editors' copies."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in paths if not _ignored(path))


def _ignored(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts) or path.suffix in {".orig", ".tmp"}
