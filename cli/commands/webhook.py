"""``springtide webhook``: whether a function takes its sender's deliveries."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from springtide.cli.commands.jobs import patience_s
from springtide.cli.commands.options import (
    function_argument,
    json_option,
    namespace_option,
    print_json,
    with_target,
)
from springtide.cli.target import Target
from springtide.cli.terminal_text import one_line
from springtide.cli.webhook_sample import Stamp, sample
from springtide.cli.webhook_verdict import Outcome, Verdict, verdict
from springtide.provider.machine.state_files import secrets_folder
from springtide.runtime.errors import BadInput
from springtide.runtime.files import read_whole
from springtide.wire.webhooks.webhook import MAX_BODY, WEBHOOK, Kind, webhook_of

MAX_ANSWER = 4096
"""Bytes of an answer that are read."""


@click.group()
def webhook() -> None:
    """Try whether a function takes the deliveries of its sender."""


@dataclass(frozen=True, slots=True)
class _Setting:
    """``secret`` is empty where nothing is signed; ``source`` says where it is from."""

    name: str
    kind: Kind
    secret: bytes
    source: str


@webhook.command("test")
@function_argument(metavar="FUNCTION")
@click.option(
    "--kind",
    type=click.Choice([str(kind) for kind in Kind]),
    help="Who sends.  [default: as the function's annotation says]",
)
@click.option(
    "--secret-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file with the secret's value.  [default: the local suite's own copy]",
)
@click.option("--data", "-d", help="The body.  [default: one that asks for nothing]")
@click.option("--data-file", type=click.Path(dir_okay=False, path_type=Path), help="A file with the body.")
@click.option("--event", help="GitHub's event.  [default: ping, or push where there is a body]")
@click.option("--timeout", help="Give up after this long without an answer.  [default: when the gateway does]")
@namespace_option
@json_option
@with_target
def test(*, target: Target, name: str, namespace: str | None, as_json: bool, timeout: str | None, **asked: Any) -> None:
    """Send a signed sample delivery to a function's webhook, as its sender would, and tell what becomes of it.

    The function is called with it, but for slack, whose first question the gateway answers. With --kind and
    --secret-file nothing is asked of the system API: so the public address of a gateway can be tried, by --gateway.

    Exit status 0: accepted; 3: not accepted, the settings do not fit; 4: it could not be checked or stored now; 5: the
    function, or something before the gateway, answered otherwise.
    """
    setting = _setting(target, name, namespace, asked["kind"], asked["secret_file"])
    stamp = Stamp(now=int(time.time()), id=secrets.token_hex(12))
    body = _body(asked["data"], asked["data_file"])
    try:
        made = sample(setting.kind, setting.secret, stamp, body=body, event=asked["event"])
    except BadInput as error:
        raise BadInput(f"the secret in {setting.source} {error}") from error
    with (
        target.client(timeout_s=patience_s(timeout)) as client,
        client.invoke(
            setting.name, path="/webhook", method="POST", query=(), headers=made.headers, body=made.body
        ) as response,
    ):
        answer = next(response.iter_bytes(MAX_ANSWER), b"").decode(errors="replace")
        headers = {key.lower(): value for key, value in response.headers.items()}
        log = str(target.state.log("gateway")) if target.local(target.gateway()) else "the gateway's log"
        challenge = stamp.id if body is None else ""
        found = verdict(setting.kind, response.status_code, headers, answer, challenge=challenge, log=log)
        url = f"{client.url}/webhook/{setting.name}"
    if as_json:
        print_json(_json(setting, url, response.status_code, found))
    else:
        _print(setting, url, found)
    if found.outcome is not Outcome.ACCEPTED:
        raise click.exceptions.Exit(int(found.outcome))


def _setting(target: Target, name: str, namespace: str | None, kind: str | None, file: Path | None) -> _Setting:
    """Raises BadInput where something cannot be known."""
    called = f"{name}.{namespace}" if namespace else name
    if kind is not None and (file is not None or kind == Kind.NONE):
        return _Setting(called, Kind(kind), _read(file), str(file or ""))
    with target.client() as client:
        function = client.function(name, namespace)
    taken = webhook_of(function.get("annotations") or {})
    if taken is None:
        raise BadInput(f"{name} takes no webhooks: deploy it with the annotation {WEBHOOK}, one of {', '.join(Kind)}")
    if kind is not None and kind != taken.kind:
        raise BadInput(f"--kind {kind}: the annotation {WEBHOOK} of {name} says {taken.kind}")
    if taken.kind is Kind.NONE:
        return _Setting(called, taken.kind, b"", "")
    if file is not None:
        return _Setting(called, taken.kind, _read(file), str(file))
    return _Setting(called, taken.kind, *_kept(target, str(function.get("namespace", "")), taken.secrets[0]))


def _kept(target: Target, namespace: str, secret: str) -> tuple[bytes, str]:
    """What the suite of this machine has. Raises BadInput for any other: a provider never tells a value."""
    gateway = target.gateway()
    file = secrets_folder(target.state.provider, namespace) / secret
    if target.local(gateway) is None or not file.is_file():
        raise BadInput(
            f"secret {secret} cannot be read back from {gateway}: give the file with its value by --secret-file"
        )
    return _read(file), f"secret {secret}"


def _read(file: Path | None) -> bytes:
    if file is None:
        return b""
    try:
        return read_whole(file)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from error


def _body(data: str | None, file: Path | None) -> bytes | None:
    if data is not None and file is not None:
        raise BadInput("--data and --data-file: give one of them")
    body = data.encode() if data is not None else None if file is None else _read(file)
    if body is not None and len(body) > MAX_BODY:
        raise BadInput(f"a body of {len(body)} bytes; a delivery that is checked has at most {MAX_BODY}")
    return body


def _json(setting: _Setting, url: str, status: int, found: Verdict) -> Mapping[str, Any]:
    return {
        "function": setting.name,
        "kind": str(setting.kind),
        "url": url,
        "accepted": found.outcome is Outcome.ACCEPTED,
        "outcome": found.outcome.name.lower(),
        "status": status,
        "job": found.job or None,
        "says": found.says,
        "remedy": found.remedy or None,
    }


def _print(setting: _Setting, url: str, found: Verdict) -> None:
    by = f", signed with {setting.source}" if setting.source else ", unsigned: anybody may call it"
    click.echo(f"POST {url} as {setting.kind}{by}")
    good = found.outcome is Outcome.ACCEPTED
    click.secho(one_line(f"{found.says[0].upper()}{found.says[1:]}."), fg="green" if good else "red")
    if found.remedy:
        click.echo(one_line(f"{found.remedy[0].upper()}{found.remedy[1:]}."))
    if found.job:
        click.echo(f"What becomes of it: springtide jobs show {found.job}")
