"""Labels of functions that are deployed, told in the log once: today they would be refused, so far they are ignored."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from springtide.scaler.core import label_names
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.endpoint_stream import Changed, Event, FunctionEndpoints, Removed, Snapshot

log = structlog.get_logger(__name__)


class MisspeltLabels:
    """Looks at each function as the provider tells of it, and says what is misspelt when its labels are new."""

    def __init__(self) -> None:
        self._seen: dict[FunctionRef, Mapping[str, str]] = {}

    def look(self, event: Event) -> None:
        match event:
            case Snapshot(functions):
                there = {function.ref for function in functions}
                self._seen = {ref: labels for ref, labels in self._seen.items() if ref in there}
                for function in functions:
                    self._look_at(function)
            case Changed(function):
                self._look_at(function)
            case Removed(ref):
                self._seen.pop(ref, None)
            case _:
                pass

    def _look_at(self, function: FunctionEndpoints) -> None:
        if self._seen.get(function.ref) == function.labels:
            return
        self._seen[function.ref] = function.labels
        problems = label_names.problems_of(function.labels)
        if problems:
            log.warning("misspelt labels are ignored", function=str(function.ref), problems=list(problems))
