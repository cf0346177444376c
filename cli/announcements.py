"""What ``springtide up`` says: a table for people or JSON lines for scripts, then what happens to the parts."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict

import click

from springtide.cli.state import USER, Running, StateFolder
from springtide.cli.terminal_text import lines
from springtide.runtime.basic_auth import PASSWORD_FILE
from springtide.runtime.part_reports import Event, Happening

_COLOURS = {Happening.DIED: "yellow", Happening.FAILED: "red", Happening.KILLED: "yellow"}


class Announcer:
    """Prints; hints call the program ``command``, and name the state folder unless it is the default one."""

    def __init__(
        self, state: StateFolder, *, as_json: bool, default_state: bool, command: str, payload_secret: str = ""
    ) -> None:
        """``payload_secret`` is the file that signs build requests; empty where nothing is built."""
        self._state, self._payload_secret = state, payload_secret
        self._as_json = as_json
        self._command = command
        self._option = "" if default_state else f" --state-dir {shlex.quote(str(state.root))}"
        self._steady = False

    def notice(self, text: str) -> None:
        """One sentence about what is missing or went wrong; goes to standard error."""
        click.secho(f"springtide: {lines(text)}", fg="yellow", err=True)

    def starting(self) -> None:
        if not self._as_json:
            click.echo("Starting …")

    def ready(self, running: Running, *, sample: bool) -> None:
        """``sample`` tells whether the sample function was deployed, now or earlier."""
        self._steady = True
        if self._as_json:
            paths = {
                "password_file": str(self._state.secrets / PASSWORD_FILE),
                "payload_secret": self._payload_secret,
                "state_dir": str(self._state.root),
            }
            click.echo(json.dumps({"event": "ready", **asdict(running), "user": USER, **paths}))
        else:
            self._table(running, sample=sample)

    def event(self, event: Event) -> None:
        """Once all is up, every change of a part; before that and while stopping only what went wrong."""
        if not self._steady and event.what in (Happening.READY, Happening.STOPPED):
            return
        if self._as_json:
            click.echo(json.dumps({"event": event.what, "part": event.child, "detail": event.detail}))
        else:
            click.secho(f"springtide: {event.child} {lines(event.detail)}", fg=_COLOURS.get(event.what, "green"))

    def stopping(self) -> None:
        if self._steady and not self._as_json:
            click.echo("Stopping: the public listener first; calls in flight finish …")
        self._steady = False

    def waiting(self, text: str) -> None:
        """What a stop waits for; goes on to say so with each stage that takes its time."""
        if self._as_json:
            click.echo(json.dumps({"event": "waiting", "detail": text}))
        else:
            click.echo(f"springtide: {lines(text)}")

    def stopped(self) -> None:
        click.echo(json.dumps({"event": "stopped"}) if self._as_json else "Stopped.")

    def _table(self, running: Running, *, sample: bool) -> None:
        rows = [
            ("Gateway", running.gateway),
            ("Console", f"{running.gateway}/ui/"),
            ("Metrics", f"{running.metrics}/metrics"),
            ("Prometheus", running.prometheus),
            ("Alertmanager", running.alertmanager),
            ("Queue (NATS)", running.nats),
            ("User", USER),
            ("Password in", str(self._state.secrets / PASSWORD_FILE)),
            ("Payload secret", self._payload_secret or None),
            ("State in", str(self._state.root)),
            ("Functions", running.walls),
        ]
        click.secho("Springtide runs. Ctrl-C stops it.", bold=True)
        for title, value in rows:
            if value is not None:
                click.echo(f"  {title.ljust(16)}{value}")
        click.echo("Try:")
        hints = [f"curl {running.gateway}/function/hello"] if sample else []
        hints += [f"{self._command} list{self._option}"] if not (sample and running.alert_path) else []
        hints += [f"{self._command} demo{self._option}"] if running.alert_path else []
        for hint in hints:
            click.echo(f"  {hint}")
