"""What is kept of a function on disk: what was asked for, how many replicas, and which write of it this is.

One JSON file per function, replaced as a whole. Everything else is found out from the running processes. A file that
cannot be read is set aside, and its function is known by its name alone until it is deployed anew or deleted.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from springtide.provider.bounds import MAX_START_S
from springtide.provider.spec import FunctionSpec, check_name, spec_from_json, spec_to_json
from springtide.runtime.errors import BadInput
from springtide.runtime.files import DAMAGED, read_json, set_aside
from springtide.scaler.core.policy import MAX_REPLICAS
from springtide.scaler.core.vocabulary import FunctionRef, Instant

FORMAT = 1
MAX_VERSIONS = 10
"""Kept of a function, the one that runs among them."""
MAX_EARLIER_BYTES = 1 << 20
"""Of them on disk."""
MAX_INSTANT = 253_402_300_800
"""The end of the year 9999, beyond which a date cannot be written."""
RECORD_LOST = "its record was damaged and is set aside; deploy it again, or restore the record from a copy and restart"

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """What a deployment fixed beside the spec: it stays what it was, whatever becomes of where it came from."""

    code: str = ""
    """The version in the code store; empty for a program of the machine."""
    environment: str = ""
    """The key of the Python environment; empty for the default one."""
    lang: str = ""
    """The template by whose convention a handler is called."""
    command: str = ""
    """What runs in the folder of the code where the spec names no command; empty for a Python handler."""
    said: str = ""
    """What the template says that runs, which a deployment repeats and does not mean."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Of the function's environment, where the spec does not set them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionVersion:
    """A function as it was deployed at one time."""

    spec: FunctionSpec
    generation: int
    deployed_at: Instant
    pinned: Pinned = Pinned()

    @property
    def name(self) -> str:
        """The same for what is the same, whenever it was deployed."""
        content = [spec_to_json(self.spec), asdict(self.pinned)]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionRecord:
    """The wish for one function. Every write of it raises ``serial``; every change of what runs ``generation``."""

    current: FunctionVersion
    replicas: int
    created_at: Instant
    uid: str
    """Of this deployment: the same name deployed anew after a deletion has another."""
    serial: int = 1
    learned_wake: int | None = None
    """Replicas that its last wakes needed."""
    longest_start_s: float | None = None
    """Of its last starts from zero."""
    earlier: tuple[FunctionVersion, ...] = ()
    """What it can go back to, the last one first."""
    damaged: str = ""
    """What is wrong with the file that was to hold all this, and where it is now; empty when nothing is."""

    @classmethod
    def new(
        cls, spec: FunctionSpec, replicas: int, created_at: Instant, *, pinned: Pinned = Pinned()
    ) -> FunctionRecord:
        version = FunctionVersion(spec=spec, generation=1, deployed_at=created_at, pinned=pinned)
        return cls(current=version, replicas=replicas, created_at=created_at, uid=secrets.token_hex(4))

    @property
    def spec(self) -> FunctionSpec:
        return self.current.spec

    @property
    def generation(self) -> int:
        return self.current.generation

    @property
    def versions(self) -> tuple[FunctionVersion, ...]:
        """Newest first, each once."""
        return (self.current, *self.earlier)

    @property
    def ref(self) -> FunctionRef:
        return self.spec.ref

    @property
    def labels(self) -> dict[str, str]:
        """As the function is shown with them."""
        return {**self.spec.labels, "faas_function": self.ref.name}

    @property
    def version(self) -> str:
        """Never the same for two writes, nor for two deployments of one name."""
        return f"{self.serial}-{self.uid}"

    @classmethod
    def lost(cls, ref: FunctionRef, damaged: str, noticed_at: Instant) -> FunctionRecord:
        """Nobody knows what it was, so it is not asleep either: somebody may be calling."""
        return replace(cls.new(FunctionSpec(ref=ref, image="unknown"), 1, noticed_at), damaged=damaged)

    def scaled(self, replicas: int) -> FunctionRecord:
        return replace(self, replicas=replicas, serial=self.serial + 1)

    def updated(self, spec: FunctionSpec, replicas: int, now: Instant, *, pinned: Pinned = Pinned()) -> FunctionRecord:
        """Deployed anew. What ran until now can be gone back to, unless it is the same."""
        current = FunctionVersion(spec=spec, generation=self.generation + 1, deployed_at=now, pinned=pinned)
        before = () if self.damaged else self.versions
        return replace(
            self,
            current=current,
            replicas=replicas,
            serial=self.serial + 1,
            earlier=tuple(_kept(version for version in before if version.name != current.name)),
            damaged="",
        )

    def adopted(self, pinned: Pinned) -> FunctionRecord:
        """With the code pinned that runs already: no other generation."""
        return replace(self, current=replace(self.current, pinned=pinned))

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            **_version_to_json(self.current),
            "replicas": self.replicas,
            "createdAt": self.created_at,
            "uid": self.uid,
            "serial": self.serial,
            "learnedWake": self.learned_wake,
            "longestStartSeconds": self.longest_start_s,
            "earlier": [_version_to_json(version) for version in self.earlier],
        }


def load(file: Path) -> FunctionRecord:
    """Raises BadInput with one sentence."""
    record = from_json(read_json(file))
    try:
        _check_place(record, file)
    except ValueError as error:
        raise BadInput(f"not a function's state: {error}") from error
    return record


def from_json(value: Any) -> FunctionRecord:
    """What ``to_json`` made. Raises BadInput with one sentence."""
    try:
        _check_format(value["format"])
        spec, created_at = spec_from_json(value["spec"]), _instant(value["createdAt"])
        return FunctionRecord(
            current=_version(value, created_at, spec=spec),
            replicas=_whole(value["replicas"], high=MAX_REPLICAS),
            created_at=created_at,
            uid=check_name("uid", value["uid"]),
            serial=_whole(value["serial"]),
            learned_wake=_learned_wake(value.get("learnedWake")),
            longest_start_s=_longest_start(value.get("longestStartSeconds")),
            earlier=tuple(_versions(value.get("earlier", []), created_at)),
        )
    except (BadInput, AttributeError, KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error).replace("\n", "; ")
        raise BadInput(f"not a function's state: {what}") from error


def load_all(folder: Path, now: Instant) -> list[FunctionRecord]:
    """Every function; for one whose file is damaged what is ``lost``. Nothing here ends a start."""
    found: dict[FunctionRef, FunctionRecord] = {}
    for file in sorted(folder.glob("[!.]*.json")):
        try:
            record = load(file)
        except (BadInput, OSError) as error:
            damaged, ref = _put_away(file, str(error), now), _ref_of(file)
            if ref is not None:
                found[ref] = FunctionRecord.lost(ref, damaged, now)
        else:
            found[record.ref] = record
    for file in sorted(folder.glob(f"[!.]*.json{DAMAGED}*")):
        ref = _ref_of(file)
        if ref is not None and ref not in found:
            found[ref] = FunctionRecord.lost(ref, f"the damaged file is {file}", now)
    return list(found.values())


def damaged_files(folder: Path, ref: FunctionRef) -> list[Path]:
    return list(folder.glob(f"{file_name(ref)}{DAMAGED}*"))


def _put_away(file: Path, why: str, now: Instant) -> str:
    """Returns what is told of it."""
    try:
        where = set_aside(file, now)
    except OSError as error:
        _log.error("a function's record is damaged and cannot be moved", file=str(file), why=why, error=str(error))
        return f"the damaged file is {file}: {why}"
    _log.error(
        "a function's record is damaged; deploy the function again, or restore the file from a copy and restart",
        file=str(file),
        why=why,
        set_aside_as=str(where),
    )
    return f"the damaged file is {where}: {why}"


def _ref_of(file: Path) -> FunctionRef | None:
    """Whose file it is, or was, by its name; None for one that is nobody's."""
    name, _, namespace = file.name.partition(".json")[0].partition(".")
    try:
        return FunctionRef(check_name("namespace", namespace), check_name("function", name))
    except BadInput:
        return None


def _check_place(record: FunctionRecord, file: Path) -> None:
    """A copy under another name would be two functions of one name, and of one working folder."""
    if file.name != file_name(record.ref):
        raise ValueError(f"it describes {record.ref}")


def _check_format(number: object) -> None:
    if number != FORMAT:
        raise ValueError(f"format {number!r} is not {FORMAT}")


def file_name(ref: FunctionRef) -> str:
    return f"{ref.name}.{ref.namespace}.json"


def _kept(versions: Iterable[FunctionVersion]) -> Iterator[FunctionVersion]:
    """As many as there is room for: they are written with every write of the function."""
    size = 0
    for version in itertools.islice(versions, MAX_VERSIONS - 1):
        size += len(json.dumps(_version_to_json(version)))
        if size > MAX_EARLIER_BYTES:
            return
        yield version


def _version(value: Any, created_at: Instant, *, spec: FunctionSpec) -> FunctionVersion:
    """Functions that were deployed before code was pinned have nothing but the spec and the generation."""
    return FunctionVersion(
        spec=spec,
        generation=_whole(value["generation"]),
        deployed_at=_instant(value["deployedAt"]) if "deployedAt" in value else created_at,
        pinned=_pinned(value.get("pinned", {})),
    )


def _versions(values: Any, created_at: Instant) -> Iterator[FunctionVersion]:
    if not isinstance(values, list) or len(values) > MAX_VERSIONS:
        raise ValueError("earlier: not a list of versions")
    for value in values:
        yield _version(value, created_at, spec=spec_from_json(value["spec"]))


def _pinned(value: Any) -> Pinned:
    pinned = Pinned(**value)
    texts = (pinned.code, pinned.environment, pinned.lang, pinned.command, pinned.said, *pinned.variables.values())
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("pinned: not texts")
    return pinned


def _version_to_json(version: FunctionVersion) -> dict[str, Any]:
    return {
        "spec": spec_to_json(version.spec),
        "generation": version.generation,
        "deployedAt": version.deployed_at,
        "pinned": asdict(version.pinned),
    }


def _whole(value: Any, *, high: int = 1 << 63) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= high:
        raise ValueError(f"{str(value)[:40]!r} is not a whole number within bounds")
    return value


def _learned_wake(value: Any) -> int | None:
    """None also where it makes no sense: it is learned again, and no reason to give the function up."""
    fits = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_REPLICAS
    return value if fits else None


def _longest_start(value: Any) -> float | None:
    """As ``_learned_wake``."""
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_START_S
    return float(value) if fits else None


def _instant(value: Any) -> Instant:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < MAX_INSTANT:
        raise ValueError(f"{str(value)[:40]!r} is not an instant")
    return Instant(float(value))
