"""All intervals of the alert path in one value, and what follows from them: how soon a first step, how often the next.

    load ──► counter ──scrape──► rate over the window ──evaluation──► alert ──group_wait──► first step
                                                                       └─ flush every group_interval ──► next steps

The first step of a steady load just above the threshold comes after at most
window + scrape + evaluation + pending + group_wait; a heavier load crosses the threshold sooner.

Alertmanager repeats a firing alert only when it flushes the group, each ``group_interval``, and only if its last
notification is *older* than ``repeat_interval``. That notification was noted after its flush, when the receiver had
answered, so at the flush exactly one repeat_interval later it is not yet older: equal intervals repeat at every
second flush. ``repeat_s`` therefore stays below a multiple of ``group_interval_s`` by what a receiver may take.
"""

from __future__ import annotations

from dataclasses import dataclass

from springtide.runtime.errors import BadInput

FEWEST_SCRAPES = 5
"""Scrapes in a window. With one lost, four are left: enough for a rate, and for telling a dip from a gap."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Intervals in seconds. Raises BadInput when one lost scrape would be too much or no repeat could be on time."""

    gateway_scrape_s: float
    """Only the gateway's metrics drive scaling, so only they are read so often."""
    parts_scrape_s: float
    evaluation_s: float
    window_s: float
    """Time over which load is measured."""
    pending_s: float = 0.0
    """``for`` of the scaling alerts. The window already asks for a lasting load; more only delays the first step."""
    group_wait_s: float = 0.0
    """A group is one alert of one function: there is nothing to wait for."""
    group_interval_s: float
    repeat_s: float

    def __post_init__(self) -> None:
        if self.scrapes_in_window < FEWEST_SCRAPES:
            raise BadInput(
                f"a window of {self.window_s:g} s holds fewer than {FEWEST_SCRAPES} scrapes "
                f"{self.gateway_scrape_s:g} s apart; lengthen it or scrape more often"
            )
        if self.repeat_s < self.group_interval_s:
            raise BadInput(
                f"repeat_s={self.repeat_s:g} is below group_interval_s={self.group_interval_s:g}; "
                "Alertmanager repeats at flushes only"
            )

    @property
    def scrapes_in_window(self) -> int:
        return _milliseconds(self.window_s) // _milliseconds(self.gateway_scrape_s)

    @property
    def known_for_s(self) -> float:
        """How far back what a part last said counts: through a lost scrape or two."""
        return 3 * self.parts_scrape_s

    @property
    def first_step_within_s(self) -> float:
        """Longest time from the start of a steady load above the threshold to the webhook's delivery."""
        return self.window_s + self.gateway_scrape_s + self.evaluation_s + self.pending_s + self.group_wait_s

    @property
    def step_every_s(self) -> float:
        """Time between two deliveries of an alert that keeps firing: the first flush after ``repeat_s`` has passed."""
        flushes = _milliseconds(self.repeat_s) // _milliseconds(self.group_interval_s) + 1
        return flushes * self.group_interval_s

    @property
    def step_interval_s(self) -> float:
        """The least time between two steps that goes with this at the alert receiver.

        Half of the time between deliveries: every repeat is a step, a delivery that is only sent again is not.
        """
        return self.step_every_s / 2


def prometheus_duration(seconds: float) -> str:
    """``10s`` or ``1500ms``: Prometheus and Alertmanager take whole numbers only."""
    milliseconds = _milliseconds(seconds)
    return f"{milliseconds}ms" if milliseconds % 1000 else f"{milliseconds // 1000}s"


def _milliseconds(seconds: float) -> int:
    """Whole numbers divide exactly: in floating point 2 s hold only four times 0.4 s."""
    return round(seconds * 1000)


DEFAULT = Timing(
    gateway_scrape_s=2, parts_scrape_s=5, evaluation_s=2, window_s=10, group_interval_s=5, repeat_s=9
)  # first step within 14 s, then one every 10 s
FAST = Timing(
    gateway_scrape_s=1, parts_scrape_s=1, evaluation_s=1, window_s=5, group_interval_s=1, repeat_s=1.5
)  # first step within 7 s, then one every 2 s
