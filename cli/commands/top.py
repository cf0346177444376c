"""``springtide top``: the functions' table, live."""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.live import Live

from springtide.cli.commands.options import namespace_option, with_target
from springtide.cli.ports import url as address
from springtide.cli.target import Target
from springtide.cli.top.gateway_poller import GatewayPoller
from springtide.cli.top.keyboard import Keyboard
from springtide.cli.top.rows import SORTS, Snapshot, ordered, to_json
from springtide.cli.top.screen import Order, room, screen
from springtide.runtime.errors import BadInput, SpringtideError

METRICS_PORT = 8082

KEYS = {sort[0]: sort for sort in SORTS if sort != "replicas"} | {"c": "replicas"}
"""``r`` is the rate's: it is asked for more often."""


@dataclass(frozen=True, slots=True)
class Manner:
    sort: str
    every_s: float
    as_json: bool


@click.command()
@namespace_option
@click.option("--sort", type=click.Choice(SORTS), default="rate", show_default=True, help="The most of it first.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.2, max=3600),
    default=2.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--once", is_flag=True, help="Print one table and end: two looks, so that there are rates.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each look, on a line.")
@click.option(
    "--metrics-url",
    "metrics_urls",
    multiple=True,
    help="/metrics of the gateway; several if it runs several times  [default: the local suite's, or port "
    f"{METRICS_PORT} of the gateway's host]",
)
@with_target
def top(
    *,
    target: Target,
    namespace: str | None,
    sort: str,
    every: float,
    once: bool,
    as_json: bool,
    metrics_urls: tuple[str, ...],
) -> None:
    """Show the functions live: replicas, calls, errors, latency, who owns the replicas, the last decision and why.

    Of a function that the scaler owns also its load, against what its ready replicas shall carry.

    Keys: r rate, n name, c replicas (copies), f in flight, h held, p p95, e errors, d last decision; q quits.
    """
    if math.isnan(every):
        raise BadInput("--every nan: write seconds, such as 2")
    manner = Manner(sort, every, as_json)
    urls = metrics_urls or (_metrics_url(target),)
    client = target.client(timeout_s=10.0)
    with GatewayPoller(client, urls, namespace, scaler_url=_scaler_url(target)) as poller:
        if once:
            _once(poller, manner)
        elif as_json or not (sys.stdout.isatty() and sys.stdin.isatty()):
            _lines(poller, manner)
        else:
            _live(poller, manner)


def _metrics_url(target: Target) -> str:
    gateway = target.gateway()
    local = target.local(gateway)
    base = local.metrics if local else address(urlsplit(gateway).hostname or "127.0.0.1", METRICS_PORT)
    return f"{base}/metrics"


def _scaler_url(target: Target) -> str | None:
    local = target.local(target.gateway())
    return f"{local.scaler}/metrics" if local and local.scaler else None


def _once(poller: GatewayPoller, manner: Manner) -> None:
    _look(poller)
    time.sleep(manner.every_s)
    _print(_look(poller), manner)


def _lines(poller: GatewayPoller, manner: Manner) -> None:
    """For a script or a file: look after look, none drawn over the one before."""
    look = _look(poller)
    while True:
        _print(look, manner)
        sys.stdout.flush()
        time.sleep(manner.every_s)
        look = _look_again(poller, look)


def _live(poller: GatewayPoller, manner: Manner) -> None:
    console = Console(highlight=False)
    look = _look(poller)
    with Keyboard() as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
        due = time.monotonic() + manner.every_s
        while True:
            order = Order(manner.sort, room(console, look))
            live.update(screen(look, console, order, ordered(look.rows, manner.sort)), refresh=True)
            key = keyboard.pressed(due - time.monotonic()).lower()
            if key == "q":
                return
            if key in KEYS:
                manner = replace(manner, sort=KEYS[key])
            if time.monotonic() >= due:
                look = _look_again(poller, look)
                due = time.monotonic() + manner.every_s


def _look(poller: GatewayPoller) -> Snapshot:
    return poller.look(now=time.monotonic(), wall=time.time())


def _look_again(poller: GatewayPoller, before: Snapshot) -> Snapshot:
    """What was seen last stays on the screen while the gateway is away."""
    try:
        return _look(poller)
    except SpringtideError as error:
        return replace(before, notes=(f"not up to date: {error}",))


def _print(look: Snapshot, manner: Manner) -> None:
    rows = ordered(look.rows, manner.sort)
    if manner.as_json:
        click.echo(json.dumps(to_json(replace(look, rows=rows))))
        return
    console = Console(highlight=False)
    console.print(screen(look, console, Order(manner.sort), rows))
