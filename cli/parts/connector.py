"""The connector, which calls functions for events of other systems, as a process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import click
import httpx
from prometheus_client import CollectorRegistry

from springtide.cli import connector_file, ports
from springtide.cli.commands.options import state_dir_option, state_folder
from springtide.cli.connector_file import ConnectorFile
from springtide.cli.parts.authentication import AuthSettings
from springtide.cli.parts.endpoints import endpoints_of
from springtide.cli.parts.foreground import serve
from springtide.cli.parts.settings_flags import Section, refuse, settings_options
from springtide.cli.stack_source import text_of
from springtide.cli.state import Running, StateFolder
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import BadInput
from springtide.runtime.kept_parts import Assembled
from springtide.runtime.service import Service
from springtide.runtime.settings import declared
from springtide.triggers.connector import ConnectorDeps, NamedSource, build
from springtide.triggers.connector_settings import ConnectorSettings
from springtide.triggers.gateway_caller import GatewayCaller
from springtide.triggers.sources import kinds
from springtide.wire.announced_connectors import Announcement
from springtide.wire.gateway_connections import GatewayConnections
from springtide.wire.provider_client import ProviderClient
from springtide.wire.vitals import vitals

SETTINGS, AUTH = Section(ConnectorSettings), Section(AuthSettings)
EPILOG = "\n\n".join(["Kinds of sources:", *(f"{kind}: {known.about}." for kind, known in kinds.KINDS.items())])


@click.command(epilog=EPILOG)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--kind", help="Without FILE: one source of this kind, by the environment.  [env: connector_kind]")
@state_dir_option
@settings_options(SETTINGS, AUTH)
@click.pass_obj
def connector(
    environ: Mapping[str, str],
    /,
    *,
    file: Path | None,
    kind: str | None,
    state_dir: Path | None,
    **given: object,
) -> None:
    """Run a connector: calls functions for events of other systems, by their annotation `topic`.

    FILE is YAML, with a list of sources:

    \b
    sources:
      - kind: nats
        url: nats://127.0.0.1:4222
        topics: [orders.new, orders.paid]

    Any setting below may stand beside it, by its environment name. Without FILE there is one source, whose keys are the
    environment's, as OpenFaaS's connectors have them (broker_host, topics) or after the kind (nats_topics).

    A suite that runs on this machine is found by itself.
    """
    state = state_folder(state_dir, environ)
    running = state.running()
    environ = {**_of_suite(state, running), **environ}
    folder = state.connectors if running is not None else None
    serve(assembled(environ, given, _asked(file, kind, environ), folder))


def _of_suite(state: StateFolder, running: Running | None) -> Mapping[str, str]:
    """Where the parts of the one that runs on this machine are, unless somebody says otherwise."""
    if running is None:
        return {}
    return {
        "gateway_url": running.gateway,
        "functions_provider_url": running.provider,
        "secret_mount_path": str(state.secrets),
    }


def _asked(file: Path | None, kind: str | None, environ: Mapping[str, str]) -> ConnectorFile:
    """Raises BadInput."""
    if file is not None:
        asked = connector_file.from_text(text_of(file), str(file))
        known = {item.env for cls in (ConnectorSettings, AuthSettings) for item in declared(cls)}
        if unknown := sorted(asked.settings.keys() - known):
            raise BadInput(f"{file}: {unknown[0]}: there is no such setting; see springtide connector --help")
        return asked
    kind = kind or environ.get("connector_kind")
    if not kind:
        raise BadInput("a connector needs a FILE with its sources, or --kind, one of " + ", ".join(kinds.KINDS))
    return ConnectorFile({}, (connector_file.from_environment(kind, environ),))


def assembled(
    environ: Mapping[str, str], given: Mapping[str, object], asked: ConnectorFile, folder: Path | None = None
) -> Assembled:
    """``given`` are the command's flags; in ``folder`` it says where it is. Raises SettingsError and BadInput."""
    environ = {**environ, **asked.settings}
    refuse(*(section.problems(environ, given) for section in (SETTINGS, AUTH)))
    sources = _sources(asked)
    return _assembled(SETTINGS.read(environ, given), sources, _credentials(AUTH.read(environ, given)), folder)


def _sources(asked: ConnectorFile) -> Sequence[NamedSource]:
    """Raises BadInput of all that cannot be built, or Unsupported."""
    sources, problems = [], []
    for lines in asked.sources:
        try:
            source = kinds.build(lines.kind, lines.name, lines.values)
        except BadInput as error:
            problems.append(str(error))
            continue
        content_type = kinds.KINDS[lines.kind].content_type
        sources.append(NamedSource(name=lines.name, source=source, content_type=content_type))
    if problems:
        raise BadInput("\n".join(problems))
    return sources


def _credentials(settings: AuthSettings) -> Credentials | None:
    """Raises BadInput."""
    try:
        return settings.credentials()
    except BadInput as error:
        remedy = "`springtide up` has them, and while it runs they are found by its state folder (--state-dir)"
        raise BadInput(f"secret_mount_path: {error}; {remedy}") from error


@asynccontextmanager
async def _assembled(
    settings: ConnectorSettings, sources: Sequence[NamedSource], credentials: Credentials | None, folder: Path | None
) -> AsyncIterator[Sequence[Service]]:
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        provider = ProviderClient(settings.provider_url, credentials)
        stack.push_async_callback(provider.aclose)
        endpoints = endpoints_of(
            provider,
            settings.provider_url,
            clock=clock,
            poll_interval_s=settings.rebuild_interval_s,
            stack=stack,
        )
        connections = GatewayConnections(httpx.URL(settings.gateway_url))
        stack.push_async_callback(connections.aclose)
        deps = ConnectorDeps(
            sources=sources,
            endpoints=endpoints,
            caller=GatewayCaller(connections, timeout_s=settings.upstream_timeout_s, credentials=credentials),
            clock=clock,
            registry=CollectorRegistry(),
            credentials=credentials,
        )
        part = build(settings, deps)
        told = [] if folder is None else [Announcement(folder, lambda: ports.url(settings.host, part.port))]
        yield [vitals(deps.registry), part, *told]
