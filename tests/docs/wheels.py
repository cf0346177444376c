"""Wheels of what is installed in this environment, for installers that are to ask no index."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path


def wheels_of_installed(names: Iterable[str], folder: Path) -> Path:
    """The folder, with a wheel of each."""
    folder.mkdir(parents=True)
    for name in names:
        dist = distribution(name)
        tag = next(
            line.split(": ")[1] for line in (dist.read_text("WHEEL") or "").splitlines() if line.startswith("Tag:")
        )
        with zipfile.ZipFile(folder / f"{name}-{dist.version}-{tag}.whl", "w") as wheel:
            for file in dist.files or ():
                if ".." not in file.parts and file.suffix != ".pyc" and file.name not in ("INSTALLER", "REQUESTED"):
                    wheel.write(str(file.locate()), str(file))
    return folder
