"""The container image as one file, by the engine that the machine has."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from release.errors import Failed
from release.preconditions import Release
from release.programs import run

ENGINES = ("podman", "buildah", "docker")
"""In this order: the first two write the OCI's layout themselves; docker does since version 25."""
ASKED_DEADLINE_S = 30.0
BUILD_DEADLINE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Engine:
    name: str
    program: str


@dataclass(frozen=True, slots=True)
class NoEngine:
    """What each of them said, in one line."""

    why: str


def find(path: str) -> Engine | NoEngine:
    """The first that is on ``path`` and works: a client without its daemon does not."""
    told = []
    for name in ENGINES:
        if (program := shutil.which(name, path=path)) is None:
            told.append(f"{name}: not on PATH")
            continue
        try:
            run([program, "info"], deadline_s=ASKED_DEADLINE_S)
        except Failed as error:
            told.append(f"{name}: {str(error).splitlines()[-1]}")
        else:
            return Engine(name, program)
    return NoEngine("; ".join(told))


def build(engine: Engine, release: Release, staged: Path, out: Path, *, base: str | None = None) -> Path:
    """Build the image and save it; ``base`` takes the place of the Containerfile's. Raises Failed."""
    image, target = f"springtide:{release.version}", out / f"springtide-{release.version}-image.tar"
    arguments = {"VERSION": release.version, "SOURCE_DATE_EPOCH": str(release.date_s)}
    if base:
        arguments["PYTHON"] = base
    file = staged / "deploy" / "Containerfile"
    command: list[str | Path] = [engine.program, "build", "--file", file, "--tag", image]
    command += ["--label", f"org.opencontainers.image.revision={release.commit}"]
    command += [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    if engine.name != "docker":
        command += ["--timestamp", str(release.date_s), "--format", "oci"]
    run([*command, staged], deadline_s=BUILD_DEADLINE_S)
    run([engine.program, *_save(engine, image, target)], deadline_s=BUILD_DEADLINE_S)
    return target


def _save(engine: Engine, image: str, target: Path) -> list[str]:
    saved = {
        "podman": ["save", "--format", "oci-archive", "--output", str(target), image],
        "buildah": ["push", image, f"oci-archive:{target}:{image}"],
        "docker": ["save", "--output", str(target), image],
    }
    return saved[engine.name]
