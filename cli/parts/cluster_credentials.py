"""Credentials of an installation on Kubernetes, where nobody made any: a Job runs this once."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Mapping

import click

from springtide.cli.parts.settings_flags import Section, settings_options
from springtide.runtime.errors import AlreadyExists
from springtide.runtime.kubernetes.api import Json, connected
from springtide.runtime.kubernetes.resources import SECRETS
from springtide.runtime.kubernetes.settings import KubernetesSettings

KUBERNETES = Section(KubernetesSettings)
NAME, USER = "basic-auth", "admin"


@click.command()
@click.option("--namespace", default="openfaas", show_default=True, help="namespace of the Secret")
@settings_options(KUBERNETES)
@click.pass_obj
def cluster_credentials(environ: Mapping[str, str], /, namespace: str, **given: object) -> None:
    """Make the Secret basic-auth with a random password, unless there is one."""
    made = asyncio.run(_make(namespace, KUBERNETES.read(environ, given)))
    click.echo(f"Secret {namespace}/{NAME} {'made' if made else 'is there already, and stays as it is'}.")


async def _make(namespace: str, settings: KubernetesSettings) -> bool:
    """Whether there was none. It is not looked for: an account that may only create needs no look at any secret."""
    async with connected(settings) as api:
        try:
            await api.create(SECRETS, _secret(namespace))
        except AlreadyExists:
            return False
    return True


def _secret(namespace: str) -> Json:
    values = {"basic-auth-user": USER, "basic-auth-password": secrets.token_urlsafe(24)}
    return {
        "metadata": {"name": NAME, "namespace": namespace},
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
