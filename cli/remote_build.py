"""Functions built by the gateway, told as it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from springtide.cli import build_context
from springtide.cli.build_context import BuildSource
from springtide.cli.gateway_client import GatewayClient
from springtide.cli.target import Target
from springtide.cli.terminal_text import one_line
from springtide.runtime.errors import BadInput, Unavailable


class RemoteBuilder:
    """Signs with ``secret``; ``quiet`` tells nothing of what goes on."""

    def __init__(self, client: GatewayClient, secret: bytes, *, quiet: bool) -> None:
        self._client, self._secret, self._quiet = client, secret, quiet

    @classmethod
    def of(cls, target: Target, client: GatewayClient, given: Path | None, *, quiet: bool) -> RemoteBuilder:
        """With the secret in the file that was ``given``, else that of the suite on this machine. Raises BadInput."""
        return cls(client, build_context.payload_secret(_secret_file(target, client, given)), quiet=quiet)

    def build(self, source: BuildSource) -> None:
        """Raises BadInput for a build that failed, Unavailable for an answer that broke off."""
        last: Mapping[str, Any] = {}
        with build_context.archived(source) as archive:
            for last in self._client.build(archive, build_context.signature(archive, self._secret)):
                for line in last.get("log") or ():
                    if not self._quiet:
                        click.echo(f"[{source.name}] {one_line(line)}")
        if last.get("status") == "failed":
            raise BadInput(f"the build failed: {last.get('error') or 'no reason was told'}")
        if last.get("status") != "success":
            raise Unavailable("the answer ended before the build did; try again")


def _secret_file(target: Target, client: GatewayClient, given: Path | None) -> Path:
    if given is not None:
        return given
    if named := target.environ.get("OPENFAAS_PAYLOAD_SECRET"):
        return Path(named)
    if target.local(client.url) is None:
        raise BadInput(f"name the file with the payload secret of {client.url} with --payload-secret")
    return target.state.payload_secret_of(target.environ)
