"""All rules for the people who run the suite. None of them scales anything: see ``alerts.SCALING_LABELS``."""

from __future__ import annotations

from dataclasses import dataclass, field

from springtide.rules.event_alerts import event_group
from springtide.rules.function_alerts import function_group
from springtide.rules.model import RUNBOOKS, Group
from springtide.rules.objective_alerts import objective_group
from springtide.rules.part_alerts import part_group
from springtide.rules.queue_alerts import queue_group
from springtide.rules.thresholds import Thresholds
from springtide.rules.timing import Timing


@dataclass(frozen=True, slots=True)
class OperatorRules:
    """``runbooks`` is where the pages are that the alerts point to: a base URL, or the folder in the repository."""

    thresholds: Thresholds = field(default_factory=Thresholds)
    runbooks: str = RUNBOOKS

    def groups(self, timing: Timing) -> tuple[Group, ...]:
        return (
            part_group(timing, self.thresholds),
            queue_group(timing, self.thresholds),
            event_group(timing, self.thresholds),
            function_group(timing, self.thresholds),
            objective_group(self.thresholds),
        )
