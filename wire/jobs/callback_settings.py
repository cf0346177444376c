"""Where callbacks may go: declared once for the gateway, which refuses them when a call is accepted, and for queue
workers, which look again at the address that they connect to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from springtide.runtime.settings import boolean, setting
from springtide.wire.jobs.callback_address import CallbackRules, gateway_names, patterns


@dataclass(frozen=True, kw_only=True)
class CallbackSettings:
    callback_allow: tuple[str, ...] = setting(
        (),
        env="callback_allow",
        kind=patterns,
        help="where callbacks may go, separated by commas: hosts, *.domains, addresses or networks, each with :port or "
        "for any; empty: anywhere that is not denied. Link-local addresses, where clouds keep credentials, only "
        "if they are named here as such, or by the full name of a host",
    )
    callback_deny: tuple[str, ...] = setting(
        (),
        env="callback_deny",
        kind=patterns,
        help="where callbacks never go, as callback_allow; functions behind the gateway are allowed all the same",
    )
    callback_local: bool = setting(
        True,  # noqa: FBT003 - the default comes first in every setting
        env="callback_local",
        kind=boolean,
        help="callbacks may go to this machine itself, by its loopback addresses; on a cluster they should not",
    )
    callback_gateway: tuple[str, ...] = setting(
        (),
        env="callback_gateway",
        kind=gateway_names,
        help="names of the gateway's Service, separated by commas: functions behind it are the usual callback, so "
        "those names may always be called at the gateway's port",
    )

    def rules(self, hosts: Iterable[str], port: int) -> CallbackRules:
        """``hosts`` are what the gateway is called beside its Service's names, ``port`` its own."""
        return CallbackRules.of_gateway(
            (*hosts, *self.callback_gateway),
            port,
            allow=self.callback_allow,
            deny=self.callback_deny,
            local=self.callback_local,
        )
