"""Which images this suite brought to the machine, and since when nothing of its names them. Pure, but for its file.

What somebody else pulled, built or loaded is never in it: that stays, whatever becomes of it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from springtide.provider.containers.engine.client import KeptImage
from springtide.runtime.errors import BadInput
from springtide.runtime.files import read_json, write_atomic

GRACE_S = 120.0
"""What nothing names may be about to be: a deployment goes on."""
MAX_IMAGES = 10_000
FILE_NAME = "images.json"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepRule:
    """How long images stay that nothing names, in seconds, and how many bytes of them; None is no bound."""

    age_s: float | None
    most_bytes: int | None


NOTHING = KeepRule(age_s=0.0, most_bytes=None)
"""They go, all of them."""


class ImageUse:
    """Instants in seconds since the epoch."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._unnamed_since: dict[str, float | None] = _read(file)
        """By id; None: a function, or a version that it can go back to, names it."""

    def __repr__(self) -> str:
        return f"<ImageUse {len(self._unnamed_since)} images>"

    def brought(self, image: str, now: float) -> None:
        """It was not on this machine, and is now."""
        if len(self._unnamed_since) < MAX_IMAGES:
            self._unnamed_since[image] = now
            self._save()

    def asked_for(self, image: str, now: float) -> None:
        """It is about to be named, if it is one of these."""
        if self._unnamed_since.get(image) is not None:
            self._unnamed_since[image] = now

    def look(self, there: Iterable[KeptImage], named: Collection[str], made_here: Collection[str], now: float) -> None:
        """What there is on the machine, and what functions name of it; ``made_here`` are ours as well."""
        images = {image.id for image in there}
        before = dict(self._unnamed_since)
        for id_ in made_here:
            self._unnamed_since.setdefault(id_, now)
        for id_ in [*self._unnamed_since]:
            if id_ not in images:
                del self._unnamed_since[id_]
            elif id_ in named:
                self._unnamed_since[id_] = None
            elif self._unnamed_since[id_] is None:
                self._unnamed_since[id_] = now
        if self._unnamed_since != before:
            self._save()

    def due(self, sizes: Mapping[str, int], keep: KeepRule, now: float) -> list[str]:
        """Those that are to go, the one that nothing has named for longest first."""
        unnamed = sorted((since, id_) for id_, since in self._unnamed_since.items() if since is not None)
        total, chosen = sum(sizes.get(id_, 0) for _, id_ in unnamed), list[str]()
        for since, id_ in unnamed:
            old = keep.age_s is not None and now - since >= keep.age_s
            large = keep.most_bytes is not None and total > keep.most_bytes and now - since >= GRACE_S
            if old or large:
                chosen.append(id_)
                total -= sizes.get(id_, 0)
        return chosen

    def _save(self) -> None:
        try:
            write_atomic(self._file, json.dumps(self._unnamed_since, indent=1).encode(), mode=0o600)
        except OSError as error:  # They stay until somebody else removes them.
            _log.warning("which images were pulled is not saved", file=str(self._file), why=str(error))


def _read(file: Path) -> dict[str, float | None]:
    """Of a file that cannot be read none is ours any more."""
    try:
        value = read_json(file)
    except FileNotFoundError:
        return {}
    except (BadInput, OSError) as error:
        _log.warning("which images were pulled is not known any more; they stay", file=str(file), why=str(error))
        return {}
    found = value.items() if isinstance(value, dict) else ()
    return {id_: since for id_, since in found if since is None or isinstance(since, int | float)}
