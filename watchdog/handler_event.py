"""What a Python handler is given of a call, with the methods that Flask's request has.

They are plain objects that handlers may change.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl


class MissingKeyError(KeyError):
    """The request has no such header or query argument. A handler that lets it pass answers 400, as in Flask."""


class Headers:
    """Names match in any case, and are told as in ``User-Agent``. Iterating gives pairs; what came twice is joined."""

    def __init__(self, raw: list[tuple[bytes, bytes]] | None = None) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in raw or []:
            self.add(name.decode("latin-1"), value.decode("latin-1"))

    def add(self, name: str, value: Any) -> None:
        """Beside what there is of this name."""
        self._values.setdefault(_canonical(name), []).append(str(value))

    def get(self, name: str, default: Any = None, type: Callable[[str], Any] | None = None) -> Any:  # noqa: A002 - werkzeug's name
        """``default`` also where ``type`` raises ValueError."""
        return _converted(self[name], default, type) if name in self else default

    def getlist(self, name: str, type: Callable[[str], Any] | None = None) -> list[Any]:  # noqa: A002 - werkzeug's name
        """All values of the name; empty when there is none."""
        return _all_converted(self._values.get(_canonical(name), []), type)

    get_all = getlist

    def items(self) -> Iterator[tuple[str, str]]:
        return ((name, ", ".join(values)) for name, values in self._values.items())

    def keys(self) -> Iterator[str]:
        return iter(list(self._values))

    def values(self) -> Iterator[str]:
        return (value for _, value in self.items())

    def to_dict(self) -> dict[str, str]:
        return dict(self.items())

    def pop(self, name: str, *default: Any) -> Any:
        """Raises KeyError when there is none and no default."""
        if name not in self and default:
            return default[0]
        value = self[name]
        del self[name]
        return value

    def setdefault(self, name: str, default: Any) -> str:
        if name not in self:
            self[name] = default
        return self[name]

    def __getitem__(self, name: str) -> str:
        try:
            return ", ".join(self._values[_canonical(name)])
        except KeyError:
            raise MissingKeyError(name) from None

    def __setitem__(self, name: str, value: Any) -> None:
        self._values[_canonical(name)] = [str(value)]

    def __delitem__(self, name: str) -> None:
        del self._values[_canonical(name)]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and _canonical(name) in self._values

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(list(self.items()))

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Headers):
            return self._values == other._values
        return isinstance(other, Mapping) and self.to_dict() == dict(other)

    __hash__ = None  # type: ignore[assignment]  # it can be changed

    def __repr__(self) -> str:
        return f"Headers({list(self.items())!r})"


class Query(dict):  # type: ignore[type-arg]  # Python 3.9 has it, but what handlers print is a plain dict
    """The first value of each argument, and by ``getlist`` all of them."""

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self._lists: dict[str, list[str]] = {}
        for name, value in parse_qsl(text, keep_blank_values=True):
            self._lists.setdefault(name, []).append(value)
            self.setdefault(name, value)

    def get(self, name: Any, default: Any = None, type: Callable[[str], Any] | None = None) -> Any:  # noqa: A002 - werkzeug's name
        """``default`` also where ``type`` raises ValueError."""
        return _converted(self[name], default, type) if name in self else default

    def getlist(self, name: str, type: Callable[[str], Any] | None = None) -> list[Any]:  # noqa: A002 - werkzeug's name
        """All values of the name; empty when there is none."""
        return _all_converted(dict(self.lists()).get(name, []), type)

    def lists(self) -> Iterator[tuple[str, list[Any]]]:
        for name, value in list(super().items()):
            kept = self._lists.get(name, [])
            yield name, list(kept) if kept[:1] == [value] else [value]  # A handler may have changed it.

    def listvalues(self) -> Iterator[list[Any]]:
        return (values for _, values in self.lists())

    def items(self, multi: bool = False) -> Any:  # noqa: FBT001, FBT002 - Flask's own signature
        return [(name, value) for name, values in self.lists() for value in values] if multi else super().items()

    def to_dict(self, flat: bool = True) -> dict[str, Any]:  # noqa: FBT001, FBT002 - Flask's own signature
        return dict(super().items()) if flat else dict(self.lists())

    def __missing__(self, name: str) -> Any:
        raise MissingKeyError(name)


@dataclass
class Event:
    """The call, to a handler of two arguments."""

    body: Any
    headers: Any
    method: str
    query: Any
    path: str


@dataclass
class Context:
    """Where the call is handled."""

    hostname: str


@dataclass(frozen=True)
class Request:
    """One call with its whole body, as it came."""

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def event(self) -> Event:
        return Event(
            body=self.body,
            headers=Headers(self.headers),
            method=self.method,
            query=Query(self.query.decode("utf-8", "replace")),
            path=self.path,
        )


@functools.lru_cache(maxsize=1024)
def _canonical(name: str) -> str:
    return "-".join(part.capitalize() for part in str(name).split("-"))


def _converted(value: Any, default: Any, kind: Callable[[str], Any] | None) -> Any:
    try:
        return value if kind is None else kind(value)
    except (ValueError, TypeError):
        return default


def _all_converted(values: list[Any], kind: Callable[[str], Any] | None) -> list[Any]:
    nothing = object()
    return [found for found in (_converted(value, nothing, kind) for value in values) if found is not nothing]
