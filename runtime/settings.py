"""Settings declared once, as fields of a frozen dataclass, and read from mappings handed in.

    @dataclass(frozen=True, kw_only=True)
    class IdlerSettings:
        sweep_s: float = setting(30.0, env="reconcile_interval", kind=duration, low=0.1, help="pause between sweeps")

    read(IdlerSettings, {"reconcile_interval": "2m"})      # every problem at once, in one SettingsError

Command-line flags and their help texts are made from the same declarations (``declared``). Not pydantic-settings: it
would add 20 MiB to each process, and ranges, flags and Go's durations would still be ours to write.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast, overload, runtime_checkable

from springtide.runtime.durations import format_duration, parse_duration_s
from springtide.runtime.errors import BadInput

T = TypeVar("T")
Parser = Callable[[str], object]

LEAVE_HELP = "time between saying on stop that connections are to end, and taking no more; where a Service is in front"
"""Of each part's setting for ``leave_s``."""


class SettingsError(BadInput):
    """All that is wrong with the settings, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def duration(text: str) -> float:
    """A length of time, such as ``30s``, ``1m30s`` or ``2h``; a number alone is seconds."""
    return parse_duration_s(text)


def boolean(text: str) -> bool:
    """``true``, ``1``, ``yes``, ``on``, or ``false``, ``0``, ``no``, ``off``."""
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    try:
        return known[text.strip().lower()]
    except KeyError:
        raise ValueError(f"{text!r} is neither true nor false") from None


def integer(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a whole number") from None


def number(text: str) -> float:
    """A number."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text[:40]!r} is not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{text!r} is not a finite number")
    return value


def words(text: str) -> tuple[str, ...]:
    """Words with commas or blanks between them."""
    return tuple(word for word in text.replace(",", " ").split() if word)


def text(value: str) -> str:
    """Text, as it stands."""
    return value


def path(value: str) -> Path:
    """The path of a file or folder."""
    return Path(value)


@runtime_checkable
class ShowsValues(Protocol):
    """A kind whose values are written otherwise than Python shows them."""

    def shown(self, value: object) -> str: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Declared:
    """What one setting is, apart from its value."""

    name: str
    env: str
    kind: Parser
    help: str
    default: object
    low: float | None
    high: float | None

    @property
    def flag(self) -> str:
        """``--sweep`` for a field called ``sweep_s``: units are spelt in the value, not in the flag."""
        bare = self.name.removesuffix("_s") if self.kind is duration else self.name
        return "--" + bare.replace("_", "-")

    @property
    def shown_default(self) -> str:
        if self.default is None:
            return ""
        if isinstance(self.kind, ShowsValues):
            return self.kind.shown(self.default)
        if self.kind is duration:
            return format_duration(cast("float", self.default))
        if isinstance(self.default, tuple):
            return ",".join(map(str, self.default))
        if isinstance(self.default, frozenset):
            return ",".join(map(str, sorted(self.default)))
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default)


@overload
def setting(default: str, *, env: str, help: str) -> str: ...


@overload
def setting(
    default: T,
    *,
    env: str,
    help: str,
    kind: Callable[[str], T],
    low: float | None = None,
    high: float | None = None,
) -> T: ...


def setting(
    default: object,
    *,
    env: str,
    help: str,  # noqa: A002 - the name every option library uses for it
    kind: Parser = text,
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A field that ``read`` fills: environment name, one-line help with the unit, and the legal range (inclusive).

    To the type checker it is the value that is read, so that default, ``kind`` and the field's own type must agree.
    """
    metadata = {"env": env, "help": help, "kind": kind, "low": low, "high": high}
    return dataclasses.field(default=default, metadata=metadata)


def declared(cls: type[object]) -> list[Declared]:
    """Every setting of a settings class, in the order written."""
    return [
        Declared(name=field.name, default=field.default, **field.metadata)
        for field in dataclasses.fields(cast("Any", cls))
        if "env" in field.metadata
    ]


def read(cls: type[T], environ: Mapping[str, str], overrides: Mapping[str, object] | None = None) -> T:
    """An instance of ``cls``: ``overrides`` by field name win over ``environ``, which wins over the defaults.

    String overrides are parsed like environment values. Raises SettingsError with every problem found.
    """
    values: dict[str, object] = {}
    problems: list[str] = []
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    for item in declared(cls):
        if item.name in given:
            raw, source = given.pop(item.name), item.flag
        elif environ.get(item.env, "") != "":
            raw, source = environ[item.env], item.env
        else:
            continue
        try:
            value = item.kind(raw) if isinstance(raw, str) else raw
            _check_range(item, value)
        except ValueError as error:
            problems.append(f"{source}: {error}")
        else:
            values[item.name] = value
    problems += [f"{name}: no such setting of {cls.__name__}" for name in given if name not in _field_names(cls)]
    if problems:
        raise SettingsError(problems)
    plain = {name: value for name, value in given.items() if name in _field_names(cls)}
    return cls(**values, **plain)


def _field_names(cls: type[object]) -> set[str]:
    return {field.name for field in dataclasses.fields(cast("Any", cls))}


def _check_range(item: Declared, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    low, high = item.low, item.high
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"at least {_plain(low or 0)}" if high is None else f"between {_plain(low or 0)} and {_plain(high)}"
        raise ValueError(f"{_plain(value)} is out of range; it must be {bounds}")


def _plain(number: float) -> str:
    """As people write it. One of hundreds of digits is no float."""
    return str(number)[:40] if isinstance(number, int) else f"{number:.15g}"
