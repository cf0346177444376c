"""What happened when, told as it happens: a line for a person or a JSON object for a script."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import click

from springtide.cli.terminal_text import one_line
from springtide.scaler.core.vocabulary import Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """``t`` is seconds since the demo began; ``before`` and ``after`` are replicas wanted, equal if nothing changed."""

    t: float
    function: str
    before: int
    after: int
    reason: str
    writer: str
    detail: str


class Timeline:
    """Prints events, and remembers them."""

    def __init__(self, *, began: float, as_json: bool) -> None:
        """``began`` is an instant, in seconds since the epoch like those of decisions."""
        self._began = began
        self._as_json = as_json
        self.events: list[Event] = []

    def decided(self, decision: Decision) -> None:
        self._tell(
            Event(
                t=round(decision.at - self._began, 3),
                function=str(decision.ref),
                before=decision.before,
                after=decision.after,
                reason=decision.reason.value,
                writer=decision.writer.value,
                detail=decision.detail,
            )
        )

    def happened(self, at: float, function: str, *, replicas: int, reason: str, detail: str) -> None:
        """Something the demo itself did or saw."""
        self._tell(
            Event(
                t=round(at - self._began, 3),
                function=function,
                before=replicas,
                after=replicas,
                reason=reason,
                writer="demo",
                detail=detail,
            )
        )

    def _tell(self, event: Event) -> None:
        self.events.append(event)
        if self._as_json:
            click.echo(json.dumps(asdict(event)))
            return
        changed = event.before != event.after
        count = f"{event.before} → {event.after}" if changed else f"{event.after}"
        colour = None if not changed else "green" if event.after > event.before else "cyan"
        name = event.function.partition(".")[0]
        head = f"{event.t:7.1f} s  {name}  {click.style(count.rjust(8), fg=colour, bold=changed)}  "
        click.echo(f"{head}{click.style(event.reason.ljust(15), bold=True)} {one_line(event.detail)}")
