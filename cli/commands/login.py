"""The command that remembers a gateway's credentials, where faas-cli looks for them too."""

from __future__ import annotations

import sys

import click

from springtide.cli.commands.options import with_target
from springtide.cli.faas_cli_config import LoginFile
from springtide.cli.gateway_client import GatewayClient
from springtide.cli.target import Target
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import BadInput


@click.command()
@click.option("--username", "-u", default="admin", show_default=True, help="Name of the user.")
@click.option("--password", "-p", help="Shows in the shell's history; better pipe it in with --password-stdin.")
@click.option("--password-stdin", "-s", is_flag=True, help="Read the password from standard input.")
@with_target
def login(*, target: Target, username: str, password: str | None, password_stdin: bool) -> None:
    """Check credentials and remember them for faas-cli and springtide.

    Without a password: the local suite's own, if the gateway is its; else it is asked for.
    """
    gateway = target.gateway()
    credentials = _credentials(target, gateway, Credentials(username, password or ""), password_stdin=password_stdin)
    with GatewayClient(gateway, credentials, timeout_s=5.0) as client:
        client.check()
    file = LoginFile.default(target.environ)
    file.remember(gateway, credentials)
    click.echo(f"Logged in to {gateway} as {credentials.user}; remembered in {file.path}.")


def _credentials(target: Target, gateway: str, given: Credentials, *, password_stdin: bool) -> Credentials:
    if given.password and password_stdin:
        raise BadInput("--password and --password-stdin exclude each other; give one")
    if given.password:
        return given
    if password_stdin:
        password = sys.stdin.readline().strip()
    elif target.local(gateway):
        return target.state.credentials()
    elif sys.stdin.isatty():
        password = click.prompt("Password", hide_input=True)
    else:
        raise BadInput("give the password with --password-stdin")
    if not password:
        raise BadInput("the password is empty")
    return Credentials(given.user, password)
