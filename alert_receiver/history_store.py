"""The step histories of all functions, and the file that keeps them over a restart."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import structlog

from springtide.runtime.errors import BadInput, kind_and_reason_of, reason_of
from springtide.runtime.files import read_json, set_aside, write_atomic
from springtide.runtime.outage import Outage
from springtide.scaler.core.steps import AlertId, StepHistory
from springtide.scaler.core.vocabulary import FunctionRef, Instant

MAX_FUNCTIONS = 10_000
"""Beyond it the function heard of longest ago is forgotten, one on its way down last of all."""

VERSION = 2
"""Version 1 kept the last step up of each alert; it is still read."""

NONSENSE = (KeyError, TypeError, ValueError, AttributeError)
"""What reading a file of another shape raises."""

log = structlog.get_logger()


class HistoryStore:
    """Histories by function. With a file, ``save`` returns once all that was put before is safely in it."""

    def __init__(self, file: Path | None = None, *, max_functions: int = MAX_FUNCTIONS, now: float = 0.0) -> None:
        """Reads the file. Raises BadInput with one sentence when it, or its folder, is not usable.

        One that is damaged is set aside, named after the time ``now`` (seconds since the epoch), and told in the log;
        what can be read of it is kept. Scaling without a memory beats no scaling.
        """
        self.damage: str | None = None
        """What to tell of a file that was damaged."""
        self._file = file
        self._outage = Outage("alert state not saved", file=str(file))
        self._max_functions = max_functions
        self._histories: dict[FunctionRef, StepHistory] = self._loaded(file, now) if file is not None else {}
        self._changes = 0
        self._saved = 0
        self._writing = asyncio.Lock()

    def __repr__(self) -> str:
        unsaved = self._changes - self._saved if self._file else 0
        return (
            f"<HistoryStore {len(self._histories)} functions, {len(self.descending())} descending, {unsaved} unsaved>"
        )

    def get(self, ref: FunctionRef) -> StepHistory:
        return self._histories.get(ref, StepHistory())

    def put(self, ref: FunctionRef, history: StepHistory) -> None:
        known = self._histories.pop(ref, None)
        if not history.forgettable:
            self._histories[ref] = history  # now the last in order: heard of most recently
        if known != (None if history.forgettable else history):
            self._changes += 1
        if len(self._histories) > self._max_functions:
            oldest = next((ref for ref, old in self._histories.items() if not old.descending), None)
            del self._histories[oldest or next(iter(self._histories))]

    def forget(self, ref: FunctionRef) -> None:
        self.put(ref, StepHistory())

    def clear(self) -> None:
        if self._histories:
            self._histories.clear()
            self._changes += 1

    def all(self) -> Mapping[FunctionRef, StepHistory]:
        return dict(self._histories)

    def descending(self) -> list[FunctionRef]:
        return [ref for ref, history in self._histories.items() if history.descending]

    async def save(self) -> None:
        """Write the file if anything changed; waiters share one write. A disk that refuses is told, not fatal:

        the replicas were written, and scaling without a memory over restarts beats no scaling.
        """
        wanted = self._changes
        if self._file is None or self._saved >= wanted:
            return
        async with self._writing:
            if self._saved >= wanted:
                return
            changes, data = self._changes, dump(self._histories)
            try:
                await asyncio.to_thread(write_atomic, self._file, data, mode=0o600)
            except OSError as error:
                self._outage.failed(error.strerror or reason_of(error))
            else:
                self._outage.over()
                self._saved = changes

    def _loaded(self, file: Path, now: float) -> dict[FunctionRef, StepHistory]:
        try:
            return load(file)
        except Damaged as error:
            why, kept = str(error), dict(error.kept)
        try:
            where = str(set_aside(file, now))
            if kept:
                write_atomic(file, dump(kept), mode=0o600)
        except OSError as error:
            where = f"not at all: {error.strerror or reason_of(error)}"
        log.error("the memory of alerts is damaged", why=why, set_aside_as=where, functions_kept=len(kept))
        self.damage = f"what was remembered of alerts was damaged, and is set aside as {where}"
        return kept


def dump(histories: Mapping[FunctionRef, StepHistory]) -> bytes:
    functions = [
        {
            "namespace": ref.namespace,
            "name": ref.name,
            "firing": _alerts_to_json(history.firing),
            "lastStepUp": history.last_step_up,
            "descending": history.descending,
            "lastStepDown": history.last_step_down,
        }
        for ref, history in histories.items()
    ]
    return json.dumps({"version": VERSION, "functions": functions}).encode()


class Damaged(BadInput):
    """What the file holds is not what was written. ``kept`` is what could be read."""

    kept: Mapping[FunctionRef, StepHistory] = MappingProxyType({})


def load(file: Path) -> dict[FunctionRef, StepHistory]:
    """The histories in ``file``; none when there is no file yet. Raises Damaged, or BadInput when it cannot be read."""
    if not file.parent.is_dir():
        raise BadInput(f"{file.parent}: no such folder; create it or choose another state file")
    try:
        value: Any = read_json(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}; make it readable or choose another state file") from error
    except BadInput as error:
        raise Damaged(str(error)) from error
    try:
        if value["version"] not in (1, VERSION):
            raise ValueError(f"version {value['version']!r} is not {VERSION}")
        items = list(value["functions"])
    except NONSENSE as error:
        raise _damaged(file, error) from error
    histories, damage = _histories(items)
    if damage is not None:
        found = _damaged(file, damage)
        found.kept = histories
        raise found from damage
    return histories


def _damaged(file: Path, error: Exception) -> Damaged:
    why = f"not the alert receiver's state ({kind_and_reason_of(error)})"
    return Damaged(f"{file}: {why}; restore it from a copy or move it away")


def _histories(items: list[Any]) -> tuple[dict[FunctionRef, StepHistory], Exception | None]:
    """What can be read, and what was wrong first with the rest."""
    histories, damage = {}, None
    for item in items:
        try:
            ref, history = _history(item)
        except NONSENSE as error:
            damage = damage or error
        else:
            histories[ref] = history
    return histories, damage


def _history(item: Any) -> tuple[FunctionRef, StepHistory]:
    return FunctionRef(_text(item["namespace"]), _text(item["name"])), StepHistory(
        firing=_alerts_from_json(item["firing"]),
        last_step_up=_last_step_up(item),
        descending=item["descending"] is True,
        last_step_down=_instant_or_none(item["lastStepDown"]),
    )


def _last_step_up(item: Any) -> Instant | None:
    if "stepped" in item:
        return max(_alerts_from_json(item["stepped"]).values(), default=None)
    return _instant_or_none(item["lastStepUp"])


def _alerts_to_json(alerts: Mapping[AlertId, Instant]) -> list[list[str | float]]:
    return [[alert.fingerprint, alert.starts_at, at] for alert, at in alerts.items()]


def _alerts_from_json(value: Any) -> dict[AlertId, Instant]:
    return {AlertId(_text(fingerprint), _text(starts_at)): _instant(at) for fingerprint, starts_at, at in value}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def _instant_or_none(value: object) -> Instant | None:
    return None if value is None else _instant(value)


def _instant(value: object) -> Instant:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r} is not an instant")
    return Instant(float(value))
