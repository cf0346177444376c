"""The provider of a Kubernetes cluster, and its API, as one process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import click
from prometheus_client import CollectorRegistry

from springtide.cli.parts.authentication import AuthSettings
from springtide.cli.parts.foreground import serve
from springtide.cli.parts.leadership import led
from springtide.cli.parts.settings_flags import Section, refuse, settings_options
from springtide.provider.api import ProviderApiDeps, ProviderApiSettings
from springtide.provider.api import build as build_api
from springtide.provider.kubernetes import KubernetesDeps, KubernetesProviderSettings, ManifestSettings
from springtide.provider.kubernetes import build as build_kubernetes
from springtide.provider.kubernetes.operator import OperatorDeps, OperatorSettings
from springtide.provider.kubernetes.operator import build as build_operator
from springtide.runtime.clock import SystemClock
from springtide.runtime.kubernetes.api import KubernetesApi, connected
from springtide.runtime.kubernetes.settings import KubernetesSettings, LeaseSettings
from springtide.runtime.service import Service
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.ports import Clock
from springtide.wire.decision_log import DecisionLog
from springtide.wire.vitals import vitals

API, AUTH = Section(ProviderApiSettings), Section(AuthSettings)
CLUSTER, FUNCTIONS = Section(KubernetesSettings), Section(ManifestSettings)
PROVIDER, LEASE = Section(KubernetesProviderSettings), Section(LeaseSettings)
OPERATOR_PART = "operator"
OPERATOR = Section(OperatorSettings)
"""By environment variables only; it shares its patience with the provider."""


@click.command()
@settings_options(API, AUTH, CLUSTER, PROVIDER, FUNCTIONS, LEASE)
@click.pass_obj
def kubernetes_provider(environ: Mapping[str, str], /, **given: object) -> None:
    """Run the provider: functions as Deployments of a Kubernetes cluster, behind OpenFaaS's REST API."""
    sections = (API, AUTH, CLUSTER, PROVIDER, FUNCTIONS, LEASE)
    refuse(*(section.problems(environ, given) for section in sections), OPERATOR.problems(environ, {}))
    api = API.read(environ, given)
    settings = _Settings(
        api=api,
        auth=AUTH.read(environ, given),
        cluster=CLUSTER.read(environ, given),
        provider=PROVIDER.read(environ, given, default_namespace=api.default_namespace),
        functions=FUNCTIONS.read(environ, given),
        operator=OPERATOR.read(environ, {}),
        lease=LEASE.read(environ, given),
    )
    serve(_assembled(settings))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settings:
    api: ProviderApiSettings
    auth: AuthSettings
    cluster: KubernetesSettings
    provider: KubernetesProviderSettings
    functions: ManifestSettings
    operator: OperatorSettings
    lease: LeaseSettings

    @property
    def scalers(self) -> Scalers:
        return self.api.scalers(hpa=True)


@asynccontextmanager
async def _assembled(settings: _Settings) -> AsyncIterator[Sequence[Service]]:
    registry, clock, decisions = CollectorRegistry(), SystemClock(), DecisionLog()
    async with connected(settings.cluster) as connection, _operator(settings, connection, clock, registry) as operator:
        provider = build_kubernetes(
            settings.provider,
            KubernetesDeps(
                api=connection,
                clock=clock,
                manifests=settings.functions,
                recorder=decisions,
                scalers=settings.scalers,
            ),
        )
        deps = ProviderApiDeps(
            provider=provider,
            credentials=settings.auth.credentials(),
            registry=registry,
            clock=clock,
            decisions=decisions,
        )
        yield [vitals(registry), provider, *operator, build_api(settings.api, deps)]


@asynccontextmanager
async def _operator(
    settings: _Settings, connection: KubernetesApi, clock: Clock, registry: CollectorRegistry
) -> AsyncIterator[Sequence[Service]]:
    """In operator mode, and with what finds out whether it leads."""
    where = settings.provider
    if not where.operator:
        yield []
        return
    async with led(OPERATOR_PART, settings.lease, settings.cluster) as (leadership, election):
        deps = OperatorDeps(
            api=connection,
            clock=clock,
            leadership=leadership,
            registry=registry,
            manifests=settings.functions,
            scalers=settings.scalers,
            namespaces=None if where.cluster_role else (where.default_namespace,),
            profiles_namespace=where.profiles_namespace or where.default_namespace,
        )
        yield [*election, build_operator(settings.operator, deps)]
