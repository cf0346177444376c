"""Which gateway a command talks to, and with which credentials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from springtide.cli.faas_cli_config import LoginFile, normal
from springtide.cli.gateway_client import GatewayClient, NoGateway
from springtide.cli.state import Running, StateFolder
from springtide.runtime.basic_auth import Credentials

DEFAULT_GATEWAY = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class Target:
    """What was asked for on the command line (``flag``), in the environment, and what runs on this machine."""

    flag: str | None
    environ: Mapping[str, str]
    state: StateFolder
    verify: bool = True
    """Whether an https:// gateway has to show a certificate that is good for its name."""
    state_named: bool = False
    """Whether the folder was named, and is not the usual one: then no other suite than its own is meant."""

    def gateway(self, stack_gateway: str | None = None) -> str:
        """--gateway, then stack.yaml, then OPENFAAS_URL, then the local suite, then OpenFaaS's default.

        The default itself in a stack file says nothing: ``faas-cli new`` writes it into each. Raises NoGateway where a
        state folder was named and its suite does not run.
        """
        chosen = stack_gateway if stack_gateway and normal(stack_gateway) != DEFAULT_GATEWAY else None
        asked = self.flag or chosen or self.environ.get("OPENFAAS_URL")
        if not asked:
            local = self.state.running()
            if local is None and self.state_named:
                root = self.state.root
                raise NoGateway(
                    f"no suite runs in {root}; start it with: springtide up --state-dir {root}, or name a gateway with "
                    "--gateway"
                )
            asked = local.gateway if local else DEFAULT_GATEWAY
        return normal(asked)

    def credentials(self, gateway: str) -> Credentials | None:
        """Those of the local suite for its own gateway; for another one those of ``springtide login``.

        In this order, because an old log-in for 127.0.0.1:8080 must not lock a user out of the suite that listens
        there now.
        """
        local = self.local(gateway)
        return self.state.credentials() if local else LoginFile.default(self.environ).credentials(gateway)

    def local(self, gateway: str) -> Running | None:
        """The suite running on this machine, if ``gateway`` is its."""
        running = self.state.running()
        return running if running is not None and _same(running.gateway, gateway) else None

    def client(self, stack_gateway: str | None = None, *, timeout_s: float = 60.0) -> GatewayClient:
        gateway = self.gateway(stack_gateway)
        return GatewayClient(gateway, self.credentials(gateway), timeout_s=timeout_s, verify=self.verify)


def _same(one: str, other: str) -> bool:
    return normal(one).replace("//localhost:", "//127.0.0.1:") == normal(other).replace("//localhost:", "//127.0.0.1:")
