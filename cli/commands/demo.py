"""The command that shows a running suite at work."""

from __future__ import annotations

import asyncio
import time

import click

from springtide.cli.commands.options import with_target
from springtide.cli.demo.story import FAST, USUAL, Story
from springtide.cli.demo.timeline import Timeline
from springtide.cli.target import Target
from springtide.runtime.errors import Unavailable


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each event.")
@with_target
def demo(*, target: Target, as_json: bool) -> None:
    """Drive load at two functions of its own and tell what each part does about it, and why.

    Up in steps while the alert fires, down in steps once it is resolved, to zero when nobody calls, and awake again
    under a caller. Beside it a function that names its load, which the scaler has: one replica under the same calls,
    and as many as they need under long ones. Needs a suite on this machine; takes two minutes, or one with
    `springtide up --fast`. The status is not zero if any of it did not happen.
    """
    gateway = target.gateway()
    running = target.local(gateway)
    if running is None:
        raise Unavailable(f"no suite of this machine runs at {gateway}; start one with: springtide up --fast")
    if not running.alert_path:
        raise Unavailable(
            "this suite runs without Prometheus and Alertmanager, so no alert can scale anything; "
            "get them with: springtide tools --fetch"
        )
    timeline = Timeline(began=time.time(), as_json=as_json)
    story = Story(gateway, target.state.credentials(), FAST if running.fast else USUAL, timeline)
    asyncio.run(story.play())
    if not as_json:
        click.secho("That was the whole story; the functions are gone again.", bold=True)
