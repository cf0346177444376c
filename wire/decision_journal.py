"""Decisions in a file, a JSON line each, so that "why was this scaled?" has an answer after a restart too."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import structlog

from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput
from springtide.runtime.files import set_aside, write_atomic
from springtide.scaler.core.vocabulary import Decision
from springtide.wire import decision_log

SLACK = 2
"""The file is cut back to what a log keeps once it holds this many times as many lines."""

log = structlog.get_logger()


def capacity(max_decisions: int) -> int:
    """Lines that a log of ``max_decisions`` needs."""
    return sum(decision_log.limits(max_decisions).values())


class FileJournal:
    """Appends as decisions come (a ``Journal``). Not synced to disk one by one: a lost second of it harms nobody.

    A disk that takes nothing more is told once and costs the memory of decisions, never a decision.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = 0
        self._max_decisions = decision_log.MAX_DECISIONS
        self._failing = False

    def __repr__(self) -> str:
        return f"<FileJournal {self._path} {self._lines} lines{' failing' if self._failing else ''}>"

    def read(self, max_decisions: int) -> Sequence[Decision]:
        """What is not a decision (a line cut by a crash, one of a newer version) is passed over, and said."""
        self._max_decisions = max_decisions
        decisions: list[Decision] = []
        unread, line, self._lines = 0, b"\n", 0
        try:
            if self._path.is_fifo():  # It would be waited at for ever.
                set_aside(self._path, time.time())
            with self._path.open("rb") as file:
                for line in file:
                    self._lines += 1
                    try:
                        decisions.append(decision_log.from_json(bounded_json.loads(line)))
                    except (BadInput, ValueError):
                        unread += 1
                    if len(decisions) > SLACK * capacity(max_decisions):
                        decisions = decision_log.newest(decisions, max_decisions)
        except FileNotFoundError:
            return ()
        except OSError as error:
            self._fail(error)
            return ()
        if unread:
            log.warning("some kept decisions cannot be read", file=str(self._path), lines=unread)
        decisions = decision_log.newest(decisions, max_decisions)
        if self._lines > SLACK * capacity(max_decisions) or not line.endswith(b"\n"):
            self._rewrite(decisions)
        return decisions

    def append(self, decision: Decision) -> None:
        line = json.dumps(decision_log.to_json(decision)).encode() + b"\n"
        try:
            # Opened each time: decisions are seldom, and the file may have been moved away by its owner.
            with self._path.open("ab") as file:
                file.write(line)
        except OSError as error:
            self._fail(error)
            return
        self._failing = False
        self._lines += 1
        if self._lines > SLACK * capacity(self._max_decisions):
            self.read(self._max_decisions)

    def _rewrite(self, decisions: Sequence[Decision]) -> None:
        text = "".join(json.dumps(decision_log.to_json(decision)) + "\n" for decision in decisions)
        try:
            write_atomic(self._path, text.encode())
        except OSError as error:
            self._fail(error)
            return
        self._lines = len(decisions)

    def _fail(self, error: OSError) -> None:
        if not self._failing:
            log.warning("decisions cannot be kept on disk", file=str(self._path), why=error.strerror)
        self._failing = True
