"""Which engine builds the image, and what it is asked; what is said where there is none. The engines are played."""

from __future__ import annotations

from pathlib import Path

import pytest

from release.errors import Failed
from release.image import Engine, NoEngine, build, find
from release.preconditions import Release
from tests.release.repository import DATE_S

RELEASE = Release(Path("/nowhere"), "1.2.3", "0" * 40, DATE_S, "")


def engine(folder: Path, name: str, script: str = "") -> Engine:
    """A program that writes down how it was called, then does what ``script`` says."""
    program = folder / name
    program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/{name}.calls\n{script}\n')
    program.chmod(0o755)
    return Engine(name, str(program))


def calls(folder: Path, name: str) -> list[str]:
    return (folder / f"{name}.calls").read_text().splitlines()


def test_the_first_engine_that_answers_is_taken(tmp_path: Path) -> None:
    engine(tmp_path, "docker")
    expected = engine(tmp_path, "buildah")

    assert find(str(tmp_path)) == expected


def test_a_client_without_its_daemon_is_no_engine(tmp_path: Path) -> None:
    engine(tmp_path, "docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")

    assert find(str(tmp_path)) == NoEngine(
        "podman: not on PATH; buildah: not on PATH; docker: Cannot connect to the Docker daemon"
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("podman", "save --format oci-archive --output {target} springtide:1.2.3", id="podman"),
        pytest.param("buildah", "push springtide:1.2.3 oci-archive:{target}:springtide:1.2.3", id="buildah"),
        pytest.param("docker", "save --output {target} springtide:1.2.3", id="docker"),
    ],
)
def test_the_image_is_built_and_saved(tmp_path: Path, name: str, expected: str) -> None:
    target = build(
        engine(tmp_path, name), RELEASE, tmp_path / "staged", tmp_path, base="mirror.example/python@sha256:0"
    )
    built, saved = calls(tmp_path, name)

    assert target.name == "springtide-1.2.3-image.tar"
    assert built.startswith(f"build --file {tmp_path}/staged/deploy/Containerfile --tag springtide:1.2.3 ")
    assert f"--label org.opencontainers.image.revision={RELEASE.commit} " in built
    assert "--build-arg VERSION=1.2.3 " in built
    assert "--build-arg PYTHON=mirror.example/python@sha256:0" in built
    assert built.endswith(f" {tmp_path}/staged")
    assert ("--timestamp" in built) == (name != "docker")
    assert saved == expected.format(target=target)


def test_a_build_that_fails_ends_the_release_with_what_was_said(tmp_path: Path) -> None:
    broken = engine(tmp_path, "podman", "echo 'no space left' >&2; exit 125")

    with pytest.raises(Failed, match="exit status 125\nno space left"):
        build(broken, RELEASE, tmp_path, tmp_path)
