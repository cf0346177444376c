"""What a well-known image would run, for functions that are deployed by image alone. No image is ever fetched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

BUILTIN = Path(__file__).parent / "builtin"


@dataclass(frozen=True, slots=True)
class KnownImage:
    """``handler``: a Python handler of ours that does what the image does; else the image runs ``fprocess``."""

    does: str
    handler: Path | None = None


_IMAGES = {
    "functions/alpine": KnownImage("runs any command"),
    "openfaas/alpine": KnownImage("runs any command"),
    "theaxer/redirector": KnownImage("redirects to the environment variable destination", BUILTIN / "redirector"),
}


def known(image: str) -> KnownImage | None:
    """The image by its repository: registry, tag and digest do not matter."""
    repository = image.partition("@")[0]
    head, slash, last = repository.rpartition("/")
    repository = head + slash + last.partition(":")[0]
    for registry in ("docker.io/", "ghcr.io/"):
        repository = repository.removeprefix(registry)
    return _IMAGES.get(repository)
