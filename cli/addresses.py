"""Where each part of a local suite listens, decided once at its start."""

from __future__ import annotations

from dataclasses import dataclass, fields

from springtide.cli import ports
from springtide.cli.ports import PortClaims
from springtide.runtime.errors import BadInput

LOOPBACK = "127.0.0.1"
PROVIDER, ALERT_RECEIVER, IDLER, CONSOLE, SCALER, QUEUE_WORKER, CRON = 8081, 8083, 8084, 8085, 8086, 8087, 8088
PROMETHEUS, ALERTMANAGER = 9090, 9093
NATS, NATS_MONITORING = 4222, 8222
"""The well-known ports: taken where they are free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WishedPorts:
    """What the command line asks for; None leaves the choice to us, 0 asks for a free one."""

    gateway: int = 8080
    metrics: int = 8082
    prometheus: int | None = None
    alertmanager: int | None = None
    nats: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The public listener's host, and the port of every listener; all but the public one are on loopback."""

    host: str
    gateway: int
    metrics: int
    provider: int
    alert_receiver: int
    idler: int
    console: int
    scaler: int
    queue_worker: int
    cron: int
    prometheus: int
    alertmanager: int
    nats: int
    nats_monitoring: int

    @property
    def control_ports(self) -> tuple[int, ...]:
        """Of what listens for the suite alone: everything but the public listener."""
        ports = {field.name: getattr(self, field.name) for field in fields(self)}
        return tuple(port for name, port in ports.items() if name not in ("host", "gateway"))

    @property
    def gateway_url(self) -> str:
        return ports.url(self.host, self.gateway)

    @staticmethod
    def url(port: int) -> str:
        return ports.url(LOOPBACK, port)

    @property
    def nats_url(self) -> str:
        return f"nats://{self.listen(self.nats)}"

    @staticmethod
    def listen(port: int) -> str:
        """``host:port`` of a listener on loopback."""
        return f"{LOOPBACK}:{port}"


def choose(host: str, wished: WishedPorts, claims: PortClaims) -> Addresses:
    """Ports that can be had now, claimed for as long as ``claims`` is open.

    Raises BadInput naming the flag of each that was asked for and is taken.
    """
    # What was asked for comes first, so that nothing of our own choice is in its way.
    asked = _asked_for(host, wished, claims)

    def preferred(port: int) -> int:
        return ports.preferred(LOOPBACK, port, claims)

    def either(flag: str, known: int) -> int:
        return asked[flag] if flag in asked else preferred(known)

    return Addresses(
        host=host,
        gateway=asked["--gateway-port"],
        metrics=asked["--metrics-port"],
        prometheus=either("--prometheus-port", PROMETHEUS),
        alertmanager=either("--alertmanager-port", ALERTMANAGER),
        nats=either("--nats-port", NATS),
        nats_monitoring=preferred(NATS_MONITORING),
        provider=preferred(PROVIDER),
        alert_receiver=preferred(ALERT_RECEIVER),
        idler=preferred(IDLER),
        console=preferred(CONSOLE),
        scaler=preferred(SCALER),
        queue_worker=preferred(QUEUE_WORKER),
        cron=preferred(CRON),
    )


def _asked_for(host: str, wished: WishedPorts, claims: PortClaims) -> dict[str, int]:
    """The ports that the command line names, by their flags; all that cannot be had are told at once."""
    asked = {
        "--gateway-port": (host, wished.gateway),
        "--metrics-port": (LOOPBACK, wished.metrics),
        "--prometheus-port": (LOOPBACK, wished.prometheus),
        "--alertmanager-port": (LOOPBACK, wished.alertmanager),
        "--nats-port": (LOOPBACK, wished.nats),
    }
    had, problems = dict[str, int](), list[str]()
    for flag, (on, port) in asked.items():
        try:
            if port is not None:
                had[flag] = ports.literal(on, port, flag, claims)
        except BadInput as problem:
            problems.append(str(problem))
    if problems:
        raise BadInput("\n".join(problems))
    return had
