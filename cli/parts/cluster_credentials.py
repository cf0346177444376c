"""Credentials of an installation on Kubernetes, where nobody made any: a Job runs this once."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import Mapping, Sequence

import click

from springtide.cli.parts.settings_flags import Section, settings_options
from springtide.runtime.basic_auth import PREFIX, file_names
from springtide.runtime.errors import AlreadyExists
from springtide.runtime.kubernetes.api import Json, connected
from springtide.runtime.kubernetes.resources import SECRETS
from springtide.runtime.kubernetes.settings import KubernetesSettings
from springtide.wire.jobs.settings import CREDENTIALS_PREFIX

KUBERNETES = Section(KubernetesSettings)
BASIC_AUTH = "basic-auth"
KNOWN: Mapping[str, tuple[str, str]] = {
    BASIC_AUTH: (PREFIX, "admin"),
    "nats-auth": (CREDENTIALS_PREFIX, "springtide"),
}
"""By the Secret's name: what its keys begin with, and the user."""


@click.command()
@click.option("--namespace", default="openfaas", show_default=True, help="namespace of the Secrets")
@click.option(
    "--secret",
    "names",
    multiple=True,
    type=click.Choice(list(KNOWN)),
    default=(BASIC_AUTH,),
    show_default=True,
    help="which to make",
)
@settings_options(KUBERNETES)
@click.pass_obj
def cluster_credentials(environ: Mapping[str, str], /, namespace: str, names: Sequence[str], **given: object) -> None:
    """Make the Secrets of an installation, each with a random password, unless they are there."""
    for name, made in asyncio.run(_make(namespace, names, KUBERNETES.read(environ, given))).items():
        click.echo(f"Secret {namespace}/{name} {'made' if made else 'is there already, and stays as it is'}.")


async def _make(namespace: str, names: Sequence[str], settings: KubernetesSettings) -> Mapping[str, bool]:
    """Whether there was none. None is looked for: an account that may only create needs no look at any secret."""
    made = dict.fromkeys(names, True)
    async with connected(settings) as api:
        for name in made:
            try:
                await api.create(SECRETS, _secret(namespace, name))
            except AlreadyExists:
                made[name] = False
    return made


def _secret(namespace: str, name: str) -> Json:
    prefix, user = KNOWN[name]
    values = dict(zip(file_names(prefix), (user, secrets.token_urlsafe(24)), strict=True))
    return {
        "metadata": {"name": name, "namespace": namespace},
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in values.items()},
    }
