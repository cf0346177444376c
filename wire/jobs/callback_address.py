"""Where answers may be sent to. Asked when a call is accepted, and again of the address that a connection is made to.

A function that could have any URL called from inside could reach what only the inside may: so a callback never goes to
the suite's own control parts, and on a cluster by default to nothing on the node itself.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from springtide.runtime.errors import BadInput

MAX_URL = 2000
MAX_RULES = 200
MAX_NAMES = 20
_HOST_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
USUAL_GATEWAY = ("gateway", 8080)
"""What functions' own callbacks call the gateway wherever OpenFaaS runs, whatever its address is here."""

OWN_HOSTS = ("127.0.0.1", "::1", "localhost", "gateway")
"""What the gateway is called at its own port, whatever else it is."""

_PORTS = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Pattern:
    """``host``, ``*.host``, an address or a network such as 10.0.0.0/8, each with ``:port`` or for any."""

    text: str
    host: str
    network: Network | None
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Raises ValueError."""
        host, port = text, None
        before, colon, behind = text.rpartition(":")
        if colon and behind.isdigit() and (":" not in before or before.endswith("]")):
            host, port = before, int(behind)
        host = host.removeprefix("[").removesuffix("]").lower()
        if not host or (port is not None and port > 65535):
            raise ValueError(f"{text!r} is no host, address or network with or without a port")
        try:
            return cls(text, host, ipaddress.ip_network(host, strict=False), port)
        except ValueError:
            if "/" in host or ":" in host:
                raise ValueError(f"{text!r} is no network: write it as 10.0.0.0/8") from None
            return cls(text, host, None, port)

    def matches(self, host: str, port: int) -> bool:
        if self.port is not None and self.port != port:
            return False
        if self.network is not None:
            address = _address(host)
            return address is not None and address in self.network
        return fnmatch.fnmatchcase(host.lower().rstrip("."), self.host)

    @property
    def resolvable(self) -> bool:
        """It is one host's name, which leads to addresses."""
        return self.network is None and not set("*?[") & set(self.host)

    @property
    def names_link(self) -> bool:
        """Whoever wrote it meant link-local addresses, or the one host that may lead to such."""
        network = self.network
        return self.resolvable if network is None else network.is_link_local or network.num_addresses == 1


def patterns(text: str) -> tuple[str, ...]:
    """Patterns of hosts, as ``*.example.org`` or ``10.0.0.0/8``, with commas between them. Raises ValueError."""
    found = [word.strip() for word in text.split(",") if word.strip()]
    if len(found) > MAX_RULES:
        raise ValueError(f"{len(found)} of them are more than {MAX_RULES}")
    return tuple(Pattern.parse(word).text for word in found)


def gateway_names(text: str) -> tuple[str, ...]:
    """Host names with commas between them. Raises ValueError."""
    found = [word.strip().lower() for word in text.split(",") if word.strip()]
    if len(found) > MAX_NAMES:
        raise ValueError(f"{len(found)} names are more than {MAX_NAMES}")
    for name in found:
        if not _HOST_NAME.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is no host's name; write it without a scheme and without a port")
    return tuple(found)


def port_of(url: SplitResult) -> int:
    """The one it names, or its scheme's. Raises ValueError."""
    return url.port or _PORTS.get(url.scheme, 80)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackRules:
    """``gateway`` is (host, port) of the suite's own, which functions as callbacks are behind and which is always
    allowed. With ``allowed`` nothing else is; ``denied`` holds before it. ``local``: the machine itself may be called.

    Link-local addresses may only where ``allowed`` names them: at 169.254.169.254 a cloud tells any program on a
    machine the machine's own credentials, and whoever may name a callback would have them used, or read.
    """

    allowed: tuple[Pattern, ...] = ()
    denied: tuple[Pattern, ...] = ()
    local: bool = True
    gateway: frozenset[tuple[str, int]] = field(default_factory=frozenset)

    @classmethod
    def of_gateway(
        cls, hosts: Iterable[str], port: int, *, allow: Iterable[str], deny: Iterable[str], local: bool
    ) -> CallbackRules:
        """With the gateway at ``port`` of ``hosts``: functions behind it are the usual callback, by whatever name of
        this machine or of its service. Raises ValueError."""
        return cls(
            allowed=tuple(map(Pattern.parse, allow)),
            denied=tuple(map(Pattern.parse, deny)),
            local=local,
            gateway=frozenset({*((host, port) for host in (*OWN_HOSTS, *hosts)), USUAL_GATEWAY}),
        )

    def check(self, url: str) -> SplitResult:
        """A callback's URL; by its host's name, if that is what it has. Raises BadInput."""
        shown = url[:100]
        if len(url) > MAX_URL:
            raise BadInput(f"X-Callback-Url has {len(url)} characters; at most {MAX_URL} are taken")
        try:
            parts = urlsplit(url)
            port = port_of(parts)
        except ValueError as error:
            raise BadInput(f"X-Callback-Url {shown!r} cannot be read: {error}") from None
        if parts.scheme not in _PORTS or not parts.hostname or any(ch <= " " or ch == "\x7f" for ch in url):
            raise BadInput(f"X-Callback-Url {shown!r} is no URL of http or https")
        if parts.username is not None or parts.password is not None:
            raise BadInput("X-Callback-Url holds a user or a password; it would be kept and shown with the job")
        if (reason := self.refusal(parts.hostname, port)) is not None:
            raise BadInput(f"X-Callback-Url: {reason}")
        return parts

    def refusal(self, host: str, port: int, *, named: str = "") -> str | None:
        """Why ``host``, a name or an address, is not to be called at ``port``; ``named``: the name that led there."""
        if (host.lower(), port) in self.gateway or (named.lower(), port) in self.gateway:
            return None
        shown = f"{named} is {host}, which" if named else host
        if any(pattern.matches(host, port) for pattern in self.denied):
            return f"{shown} is not to be called at port {port}: callback_deny, or a part of the suite itself"
        if not self.local and _is_local(host):
            return f"{shown} is this machine, which callbacks do not go to (callback_local)"
        matching = [
            pattern for pattern in self.allowed if any(pattern.matches(name, port) for name in (host, named) if name)
        ]
        if _is_on_link(host) and not any(pattern.names_link for pattern in matching):
            return (
                f"{shown} is a link-local address, where clouds keep machines' credentials: callbacks go there only "
                "where callback_allow names it, or the host"
            )
        if self.allowed and not matching:
            return f"{shown} at port {port} is not in callback_allow"
        return None


_LOOPBACK = ipaddress.IPv4Address("127.0.0.1")
_CLOUD_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200")))
"""Where AWS and Google over IPv6, and Alibaba, have what others have at a link-local address."""


def _address(host: str) -> Address | None:
    """As patterns see it: every way to write this machine's own is one address, and an IPv4 address in IPv6 that."""
    name = host.lower().rstrip(".").partition("%")[0]
    if name == "localhost" or name.endswith(".localhost"):
        return _LOOPBACK
    try:
        found = ipaddress.ip_address(name)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found
    return _LOOPBACK if found.is_unspecified or (found.version == 6 and found.is_loopback) else found


def _is_local(host: str) -> bool:
    address = _address(host)
    return address is not None and (address.is_loopback or address.is_multicast)


def _is_on_link(host: str) -> bool:
    address = _address(host)
    return address is not None and (address.is_link_local or address in _CLOUD_METADATA)
