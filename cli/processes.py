"""The processes of a local suite: their command lines, when each counts as ready, and in which order they start."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import bcrypt

from springtide.cli import local_broker
from springtide.cli.addresses import Addresses
from springtide.cli.monitoring_data import mend_alertmanager, mend_prometheus
from springtide.cli.nats_server import NatsServer
from springtide.cli.parts.control import AND
from springtide.cli.parts.settings_flags import Section
from springtide.cli.runtimes import BOTH, PROCESSES, Runtime, Runtimes
from springtide.cli.state import StateFolder
from springtide.cli.tools import Tools
from springtide.gateway.settings import GatewaySettings
from springtide.provider.process.host_link import kill_hosts
from springtide.provider.process.settings import ProcessSettings
from springtide.queue_worker.settings import QueueWorkerSettings
from springtide.rules.alertmanager import BasicAuth, Webhook
from springtide.rules.local import Login, Targets, alertmanager_arguments, local_configuration, prometheus_arguments
from springtide.rules.model import Yaml
from springtide.rules.timing import DEFAULT, FAST, Timing
from springtide.runtime.basic_auth import PASSWORD_FILE, Credentials
from springtide.runtime.child_process import Child, Member
from springtide.runtime.durations import format_duration
from springtide.runtime.files import set_aside, write_atomic
from springtide.runtime.http_probe import fetch
from springtide.runtime.liveness import Probe
from springtide.wire.jobs.settings import CREDENTIALS_PREFIX, with_names_of_openfaas

GATEWAY, PROCESS, WORKER = Section(GatewaySettings), Section(ProcessSettings), Section(QueueWorkerSettings)
SPRINGTIDE = (sys.executable, "-P", "-m", "springtide.cli")
"""-P: the folder the user stands in may well hold a package called springtide."""

BCRYPT_ROUNDS = 10
"""What Prometheus's documentation shows: some 50 ms for a guess."""

PROBE_DEADLINE_S = 3.0
GRACE_S, MARGIN_S = 10.0, 10.0
"""A part that has a grace period of its own gets that, and some time to spare, before it is killed."""
FAST_SILENCE = "8s"
FAST_IDLE = ("--sweep", "1s", "--inactivity", FAST_SILENCE, "--stale-after", "6s", "--settle", "4s")
"""The idler's intervals under ``--fast``: scrapes come each second there."""

BROKER_READY_S = 120.0
"""It reads all that it kept, when it was killed: 100,000 jobs of 1 kB in 0.3 s."""

LEASE_S = 10.0
"""How long calls of a queue worker that was killed wait, where nobody says otherwise. It may be short, as there is one
copy, on the machine of its server: what that takes for lost comes back to the copy that has it."""

FAST_ALERTS = ("--settle", "4s", "--review-interval", "10s")
"""The alert receiver's, under ``--fast``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What runs where. Without ``tools`` there is no alert path, and no idler, which would have nothing to go by."""

    state: StateFolder
    addresses: Addresses
    tools: Tools | None
    environ: Mapping[str, str]
    broker: NatsServer | None = None
    """Without one nothing is queued, unless the environment names a server of the user's."""
    queue_sync_s: float = 0.0
    """How often the broker makes sure that what it wrote is on disk; 0: each time, before it says that it has it."""
    fast: bool = False
    dry_run: bool = False
    runtimes: Runtimes = PROCESSES
    """What functions run as."""
    kubeconfig: str = ""
    """The cluster that they run on, where they do; empty: the environment leads to it."""
    at_stop: str = ""
    """What becomes of containers at the end: empty, they stop; or ``keep``, ``remove``."""
    scaler_default: bool = False
    """The control loop also has the functions whose labels name no load."""
    separate: bool = False
    """Each control part is a process of its own."""
    operators_receiver: Yaml | None = None
    """How Alertmanager tells people; nobody is told without one."""

    @property
    def timing(self) -> Timing:
        return FAST if self.fast else DEFAULT

    @property
    def queues(self) -> bool:
        """Whether asynchronous calls are kept, by our broker or the user's."""
        return self.broker is not None or bool(with_names_of_openfaas(self.environ).get("nats_url"))


def stages(plan: Plan, *, authorization: str = "") -> list[list[Child]]:
    """Children in the order in which they start; the gateway is the first to stop, the provider the last.

    ``authorization`` is the header that each is shown when it is asked whether it is there.
    First what answers calls, and both at once, for a gateway waits for its provider; then what scales.
    """
    build = _Builder(plan, authorization)
    answering, control = [build.provider(), build.gateway()], [build.alert_receiver(), build.scaler(), build.cron()]
    control.append(build.console())
    answering += [build.broker(plan.broker)] if plan.broker is not None else []
    control += [build.queue_worker()] if plan.queues else []
    alerting: list[Child] = []
    if plan.tools is not None:
        control.append(build.idler())
        alerting += [build.alertmanager(plan.tools), build.prometheus(plan.tools)]
    return [answering, [*(control if plan.separate else [build.shared(control)]), *alerting]]


def write_configuration(plan: Plan) -> None:
    """What Prometheus and Alertmanager read at their start. Raises OSError."""
    at, listen = plan.addresses, plan.addresses.listen
    targets = Targets(
        gateway_metrics=listen(at.metrics),
        provider=listen(at.provider),
        alert_receiver=listen(at.alert_receiver),
        idler=listen(at.idler),
        scaler=listen(at.scaler),
        cron=listen(at.cron),
        console=listen(at.console),
        prometheus=listen(at.prometheus),
        alertmanager=listen(at.alertmanager),
        queue_worker=listen(at.queue_worker) if plan.queues else "",
        connectors=str(plan.state.connectors.absolute()),
    )
    plan.state.connectors.mkdir(parents=True, exist_ok=True, mode=0o700)
    credentials = Credentials.from_folder(plan.state.secrets)
    auth = BasicAuth(username=credentials.user, password_file=str(plan.state.secrets / PASSWORD_FILE))
    login, webhook = Login(auth=auth, password_hash=_hash(credentials)), Webhook(url=_webhook(at), auth=auth)
    files = local_configuration(plan.timing, targets, webhook, login, plan.operators_receiver)
    for name, content in files.items():
        _write(plan.state.alerting / name, content.encode())


def write_broker_configuration(plan: Plan) -> None:
    """What the broker reads at its start. Raises OSError."""
    at, folder = plan.addresses, plan.state.nats
    credentials = Credentials.from_folder(plan.state.secrets, prefix=CREDENTIALS_PREFIX)
    told = local_broker.configuration(
        folder,
        listen=at.listen(at.nats),
        monitoring=at.listen(at.nats_monitoring),
        user=credentials.user,
        password_hash=_hash(credentials),
        sync_every_s=plan.queue_sync_s,
    )
    _write(folder / local_broker.CONFIGURATION, told.encode())


def _write(file: Path, content: bytes) -> None:
    try:
        write_atomic(file, content, mode=0o600)
    except IsADirectoryError:
        set_aside(file, time.time())
        write_atomic(file, content, mode=0o600)


def _hash(credentials: Credentials) -> str:
    """Longer passwords are compared by their first 72 bytes, which is all that bcrypt takes."""
    return bcrypt.hashpw(credentials.password.encode()[:72], bcrypt.gensalt(BCRYPT_ROUNDS)).decode()


def _webhook(at: Addresses) -> str:
    return f"{at.url(at.alert_receiver)}/system/alert"


class _Builder:
    def __init__(self, plan: Plan, authorization: str) -> None:
        self._plan = plan
        self._at = plan.addresses
        self._authorization = authorization

    def provider(self) -> Child:
        if Runtime.KUBERNETES in self._plan.runtimes:
            return self._kubernetes_provider()
        return self._process_provider() if Runtime.PROCESS in self._plan.runtimes else self._container_provider()

    def _container_provider(self) -> Child:
        state = self._plan.state.containers
        return self._ours(
            "provider",
            (
                *("--host", "127.0.0.1", "--port", str(self._at.provider)),
                *("--data-dir", str(state)),
                *self._at_stop(),
                *self._loop(),
            ),
            command="container-provider",
            ready=self._at.url(self._at.provider) + "/healthz",
            grace_s=PROCESS.read(self._plan.environ, {}, state_dir=state).grace_s + MARGIN_S,
        )

    def _at_stop(self) -> tuple[str, ...]:
        return ("--container-at-stop", self._plan.at_stop) if self._plan.at_stop else ()

    def _kubernetes_provider(self) -> Child:
        found = ("--kubeconfig", self._plan.kubeconfig) if self._plan.kubeconfig else ()
        return self._ours(
            "provider",
            ("--host", "127.0.0.1", "--port", str(self._at.provider), *found, *self._loop()),
            command="kubernetes-provider",
            ready=self._at.url(self._at.provider) + "/healthz",
        )

    def _process_provider(self) -> Child:
        """That of containers, too, where functions are both."""
        both = self._plan.runtimes == BOTH
        beside = ("--container-data-dir", str(self._plan.state.containers), *self._at_stop()) if both else ()
        return self._ours(
            "provider",
            (
                *("--host", "127.0.0.1", "--port", str(self._at.provider)),
                *("--data-dir", str(self._plan.state.provider)),
                *beside,
                *("--payload-secret", str(self._plan.state.payload_secret_of(self._plan.environ))),
                *self._walls(),
                *self._loop(),
            ),
            command="routing-provider" if both else "",
            ready=self._at.url(self._at.provider) + "/healthz",
            grace_s=PROCESS.read(self._plan.environ, {}, state_dir=self._plan.state.provider).grace_s + MARGIN_S,
            end_rest=partial(kill_hosts, self._plan.state.provider.absolute()),
        )

    def _walls(self) -> tuple[str, ...]:
        """Of functions: where the suite's own listeners and files are. What the environment says of both is added."""
        told = PROCESS.read(self._plan.environ, {}, state_dir=self._plan.state.provider)
        ports = sorted({*self._at.control_ports, *told.closed_ports})
        return (
            *("--function-closed-ports", ",".join(map(str, ports))),
            *("--function-hidden", ",".join((str(self._plan.state.root.absolute()), *told.hidden))),
        )

    def gateway(self) -> Child:
        return self._ours(
            "gateway",
            (
                *("--host", self._at.host, "--port", str(self._at.gateway)),
                *("--metrics-host", "127.0.0.1", "--metrics-port", str(self._at.metrics)),
                *("--provider-url", self._at.url(self._at.provider)),
                *("--alert-receiver-url", _webhook(self._at)),
                *("--console-url", self._at.url(self._at.console)),
                *("--cron-url", self._at.url(self._at.cron)),
                *("--connectors-dir", str(self._plan.state.connectors)),
                *(("--prometheus-url", self._at.url(self._at.prometheus)) if self._plan.tools else ()),
                *self._monitoring(),
                *self._queueing(),
                *self._callbacks(),
                *("--grace", format_duration(self._gateway_grace_s())),
            ),
            ready=self._at.gateway_url + "/healthz",
            # The master's own listener: a worker that hangs is its to replace.
            alive=self._at.url(self._at.metrics) + "/healthz",
            grace_s=self._gateway_grace_s() + MARGIN_S,
            stops_first=True,
        )

    def _gateway_grace_s(self) -> float:
        """As long as the queue worker has, whose calls go through it, where nobody says otherwise."""
        own = GATEWAY.read(self._plan.environ, {}).grace_s
        if not self._plan.queues or self._plan.environ.get("grace"):
            return own
        return max(own, WORKER.read(self._plan.environ, {}).grace_s)

    def alert_receiver(self) -> Child:
        return self._ours(
            "alert-receiver",
            (
                *("--host", "127.0.0.1", "--port", str(self._at.alert_receiver)),
                *("--provider-url", self._at.url(self._at.provider)),
                *("--step-interval", format_duration(self._plan.timing.step_interval_s)),
                *("--state-file", str(self._plan.state.alert_receiver_file)),
                *(("--prometheus-url", self._at.url(self._at.prometheus)) if self._plan.tools else ()),
                *(("--alertmanager-url", self._at.url(self._at.alertmanager)) if self._plan.tools else ()),
                *self._monitoring(),
                *(FAST_ALERTS if self._plan.fast else ()),
            ),
            ready=self._at.url(self._at.alert_receiver) + "/healthz",
        )

    def scaler(self) -> Child:
        return self._ours(
            "scaler",
            (
                *("--host", "127.0.0.1", "--port", str(self._at.scaler)),
                *("--provider-url", self._at.url(self._at.provider)),
                *("--gateway-urls", self._at.gateway_url),
                *(("--prometheus-url", self._at.url(self._at.prometheus)) if self._plan.tools else ()),
                *self._monitoring(),
            ),
            ready=self._at.url(self._at.scaler) + "/healthz",
            # It reads a stream of the gateway's, which would wait for that as for any call.
            stops_first=True,
        )

    def cron(self) -> Child:
        return self._ours(
            "cron",
            (
                *("--host", "127.0.0.1", "--port", str(self._at.cron)),
                *("--provider-url", self._at.url(self._at.provider)),
                *("--gateway-url", self._at.gateway_url),
                *("--state-dir", str(self._plan.state.cron)),
                *("--gateway-metrics-urls", self._at.url(self._at.metrics)),
                *(("--inactivity", FAST_SILENCE) if self._plan.fast else ()),
            ),
            ready=self._at.url(self._at.cron) + "/healthz",
            # Its calls go through the gateway, which would wait for them.
            stops_first=True,
        )

    def queue_worker(self) -> Child:
        return self._ours(
            "queue-worker",
            (
                *("--host", "127.0.0.1", "--port", str(self._at.queue_worker)),
                *("--provider-url", self._at.url(self._at.provider)),
                *("--gateway-url", self._at.gateway_url),
                *self._queueing(),
                *(("--nats-monitoring-url", self._at.url(self._at.nats_monitoring)) if self._plan.broker else ()),
                *(() if self._plan.environ.get("ack_wait") else ("--ack-wait", format_duration(LEASE_S))),
                *self._callbacks(),
            ),
            ready=self._at.url(self._at.queue_worker) + "/healthz",
            grace_s=WORKER.read(self._plan.environ, {}).grace_s + MARGIN_S,
            # Its calls go through the gateway, which would wait for them.
            stops_first=True,
        )

    def console(self) -> Child:
        at = self._at
        return self._ours(
            "console",
            (
                *("--host", "127.0.0.1", "--port", str(at.console), "--state-dir", str(self._plan.state.root)),
                *("--gateway-url", at.gateway_url, "--gateway-metrics-urls", at.url(at.metrics) + "/metrics"),
                *("--provider-url", at.url(at.provider), "--alert-receiver-url", at.url(at.alert_receiver)),
                *("--scaler-url", at.url(at.scaler), "--cron-url", at.url(at.cron)),
                *(("--queue-worker-url", at.url(at.queue_worker)) if self._plan.queues else ()),
                *(("--idler-url", at.url(at.idler)) if self._plan.tools else ()),
                *(("--prometheus-url", at.url(at.prometheus)) if self._plan.tools else ()),
                *(("--alertmanager-url", at.url(at.alertmanager)) if self._plan.tools else ()),
                *self._monitoring(),
            ),
            ready=at.url(at.console) + "/healthz",
            # It reads a stream through the gateway, which would wait for that as for any call.
            stops_first=True,
        )

    def idler(self) -> Child:
        return self._ours(
            "idler",
            (
                *("--host", "127.0.0.1", "--port", str(self._at.idler)),
                *("--provider-url", self._at.url(self._at.provider)),
                *("--prometheus-url", self._at.url(self._at.prometheus)),
                *("--gateway-metrics-urls", self._at.url(self._at.metrics) + "/metrics"),
                *("--gateway-urls", self._at.gateway_url),
                *self._monitoring(),
                *(FAST_IDLE if self._plan.fast else ()),
                *(("--dry-run",) if self._plan.dry_run else ()),
            ),
            ready=self._at.url(self._at.idler) + "/healthz",
        )

    def prometheus(self, tools: Tools) -> Child:
        listen, state = self._at.listen(self._at.prometheus), self._plan.state
        arguments = prometheus_arguments(state.alerting, state.prometheus, listen)
        return self._child(
            "prometheus",
            (str(tools.prometheus), *arguments),
            ready=self._at.url(self._at.prometheus) + "/-/ready",
            alive=self._at.url(self._at.prometheus) + "/-/healthy",
            vital=False,
            mend=partial(mend_prometheus, state.prometheus),
        )

    def alertmanager(self, tools: Tools) -> Child:
        listen, state = self._at.listen(self._at.alertmanager), self._plan.state
        arguments = alertmanager_arguments(state.alerting, state.alertmanager, listen)
        return self._child(
            "alertmanager",
            (str(tools.alertmanager), *arguments),
            ready=self._at.url(self._at.alertmanager) + "/-/ready",
            alive=self._at.url(self._at.alertmanager) + "/-/healthy",
            vital=False,
            mend=partial(mend_alertmanager, state.alertmanager),
        )

    def broker(self, server: NatsServer) -> Child:
        folder, monitoring = self._plan.state.nats, self._at.nats_monitoring
        child = self._child(
            "nats",
            local_broker.command(server, folder),
            ready=self._at.url(monitoring) + local_broker.ABLE_TO_STORE,
            vital=False,
            ready_within_s=BROKER_READY_S,
            mend=partial(local_broker.mend, folder),
        )
        return replace(child, alive=local_broker.stores(monitoring, folder))

    def _queueing(self) -> tuple[str, ...]:
        if self._plan.broker is None:
            return ()
        return ("--nats-url", self._at.nats_url, "--nats-credentials-path", str(self._plan.state.secrets))

    def _callbacks(self) -> tuple[str, ...]:
        """A caller is not to reach by way of a callback what listens for the suite alone."""
        return ("--callback-deny", ",".join(f"127.0.0.0/8:{port}" for port in self._at.control_ports))

    def _loop(self) -> tuple[str, ...]:
        """The provider is told that the loop runs, for it says who owns a function."""
        return ("--scaler", *(("--scaler-default",) if self._plan.scaler_default else ()))

    def _monitoring(self) -> tuple[str, ...]:
        return ("--monitoring-secret-path", str(self._plan.state.secrets)) if self._plan.tools else ()

    def shared(self, parts: Sequence[Child]) -> Child:
        """These in one process; each writes its own log, and the process what none of them does."""
        words = [word for part in parts for word in (AND, *part.forked)][1:]
        command = ("control", "--log-dir", str(self._plan.state.log("any").parent), "--supervised", *words)
        return replace(
            parts[0],
            name="control",
            command=(*SPRINGTIDE, *command),
            forked=command,
            log=self._plan.state.log("control"),
            ready=None,
            alive=None,
            stops_first=any(part.stops_first for part in parts),
            grace_s=max(part.grace_s for part in parts),
            members=tuple(Member(part.name, part.log) for part in parts),
        )

    def _ours(self, part: str, flags: Sequence[str], *, ready: str, command: str = "", **more: Any) -> Child:
        secrets = ("--basic-auth", "--secret-mount-path", str(self._plan.state.secrets))
        words = (command or part, *flags, *secrets)
        return replace(self._child(part, (*SPRINGTIDE, *words), ready=ready, **more), forked=words)

    def _child(
        self,
        name: str,
        command: Sequence[str],
        *,
        ready: str,
        alive: str = "",
        grace_s: float = GRACE_S,
        **more: Any,
    ) -> Child:
        """``alive`` answers whether it does anything at all; ``ready`` does too, unless given."""
        return Child(
            name=name,
            command=tuple(command),
            log=self._plan.state.log(name),
            ready=self._answers(ready, 200),
            alive=self._answers(alive or ready),
            environment=dict(self._plan.environ),
            grace_s=grace_s,
            **more,
        )

    def _answers(self, url: str, status: int | None = None) -> Probe:
        """With any status, unless given: what refuses its work is alive."""

        to = urlsplit(url)
        path = f"{to.path}?{to.query}" if to.query else to.path

        async def probe() -> bool:
            # A kept connection would be answered by the process that was there before, while it finishes its calls.
            try:
                async with asyncio.timeout(PROBE_DEADLINE_S):
                    answer = await fetch(to.hostname or "", to.port or 80, path, authorization=self._authorization)
            except (OSError, TimeoutError):
                return False
            return answer is not None and status in (None, answer.status)

        return probe
