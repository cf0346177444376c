"""Which images this suite brought to the machine, and since when nothing of its names them. Pure, but for its file.

What somebody else pulled, built, loaded or gave a name is not in it: that stays, whatever becomes of it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
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


@dataclass(slots=True)
class _Brought:
    names: list[str]
    """By which it came."""
    unnamed_since: float | None
    """None: a function, or a version that it can go back to, names it."""


class ImageUse:
    """Instants in seconds since the epoch."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._brought: dict[str, _Brought] = _read(file)
        """By id."""

    def __repr__(self) -> str:
        return f"<ImageUse {len(self._brought)} images>"

    def __contains__(self, image: str) -> bool:
        return image in self._brought

    def brought(self, image: str, names: Collection[str], now: float) -> None:
        """It was not on this machine, and is now, by these names."""
        if len(self._brought) < MAX_IMAGES:
            self._brought[image] = _Brought(sorted(names), now)
            self._save()

    def asked_for(self, image: str, now: float) -> None:
        """It is about to be named, if it is one of these."""
        one = self._brought.get(image)
        if one is not None and one.unnamed_since is not None:
            one.unnamed_since = now

    def look(self, there: Iterable[KeptImage], named: Collection[str], made_here: Collection[str], now: float) -> None:
        """What there is on the machine, and what functions name of it; ``made_here`` are ours as well."""
        images = {image.id: image.names for image in there}
        before = self._text()
        for id_ in made_here:
            self._brought.setdefault(id_, _Brought(sorted(images.get(id_, ())), now))
        for id_, one in [*self._brought.items()]:
            if id_ not in images or not images[id_] <= {*one.names}:
                del self._brought[id_]  # It is gone, or somebody has it by a name of their own.
            elif id_ in named:
                one.unnamed_since = None
            elif one.unnamed_since is None:
                one.unnamed_since = now
        if self._text() != before:
            self._save()

    def due(self, sizes: Mapping[str, int], keep: KeepRule, now: float) -> list[str]:
        """Those that are to go, the one that nothing has named for longest first."""
        known = ((one.unnamed_since, id_) for id_, one in self._brought.items())
        unnamed = sorted((since, id_) for since, id_ in known if since is not None)
        total, chosen = sum(sizes.get(id_, 0) for _, id_ in unnamed), list[str]()
        for since, id_ in unnamed:
            old = keep.age_s is not None and now - since >= keep.age_s
            large = keep.most_bytes is not None and total > keep.most_bytes and now - since >= GRACE_S
            if old or large:
                chosen.append(id_)
                total -= sizes.get(id_, 0)
        return chosen

    def _text(self) -> bytes:
        return json.dumps({id_: asdict(one) for id_, one in self._brought.items()}, indent=1).encode()

    def _save(self) -> None:
        try:
            write_atomic(self._file, self._text(), mode=0o600)
        except OSError as error:  # They stay until somebody else removes them.
            _log.warning("which images were pulled is not saved", file=str(self._file), why=str(error))


def _read(file: Path) -> dict[str, _Brought]:
    """Of a file that cannot be read none is ours any more."""
    try:
        value = read_json(file)
    except FileNotFoundError:
        return {}
    except (BadInput, OSError) as error:
        _log.warning("which images were pulled is not known any more; they stay", file=str(file), why=str(error))
        return {}
    found = value.items() if isinstance(value, dict) else ()
    return {id_: one for id_, one in ((id_, _one(text)) for id_, text in found) if one is not None}


def _one(value: object) -> _Brought | None:
    if not isinstance(value, dict):
        return None
    names, since = value.get("names"), value.get("unnamed_since")
    if not isinstance(names, list) or not (since is None or isinstance(since, int | float)):
        return None
    return _Brought([str(name) for name in names], since)
