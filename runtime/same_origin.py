"""What keeps pages of other sites from acting in an operator's name.

A browser adds the credentials it knows to any request that any page makes it send. What tells such a request from one
of our own pages are two headers which a page can neither leave out nor forge: ``Origin`` and ``Sec-Fetch-Site``.
Command lines, SDKs and the suite's own parts send neither, and are not concerned, whatever their content type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from springtide.runtime.asgi import App, Receive, Scope, Send

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""RFC 9110, 9.2.1: these change nothing."""

_FROM_HERE = frozenset({b"same-origin", b"none"})
"""Values of ``Sec-Fetch-Site``: one of our own pages, or the person at the browser's address bar.

``same-site`` is not among them: a page at another port of this host is another site's to us.
"""

_PORTS = {"http": "80", "https": "443"}
_ORIGIN = re.compile(r"(https?)://([^\s/?#@,]+)")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\s/?#@,]+)(?::([0-9]{1,5}))?")


def origins(text: str) -> tuple[str, ...]:
    """Origins as a browser writes them, with commas between them. Raises ValueError naming a bad one."""
    found = []
    for word in text.replace(",", " ").split():
        origin = normal_origin(word)
        if origin is None:
            raise ValueError(
                f"{word!r} is no origin; write SCHEME://HOST or SCHEME://HOST:PORT, as https://faas.example.org"
            )
        found.append(origin)
    return tuple(found)


def normal_origin(text: str) -> str | None:
    """Scheme, host and port, the port always written; None for what is none, as ``null`` of a page in a sandbox."""
    match = _ORIGIN.fullmatch(text.lower())
    return match and _joined(match[1], match[2])


@dataclass(frozen=True, slots=True)
class SameOrigin:
    """Whose pages may act: those served under the host that was asked for, and those of ``allowed`` origins."""

    allowed: tuple[str, ...] = ()

    def objection(self, scope: Scope) -> str | None:
        """Why a request that acts is refused; None when no page of another site can have sent it."""
        headers = _by_name(scope)
        given = headers.get(b"origin", [])
        origin = normal_origin(given[0].decode("latin-1")) if len(given) == 1 else None
        if origin is not None and origin in self.allowed:
            return None
        foreign = any(value.strip().lower() not in _FROM_HERE for value in headers.get(b"sec-fetch-site", ()))
        if not foreign and (not given or (origin is not None and origin == _own(scope, headers))):
            return None
        shown = b", ".join(given).decode("latin-1")[:200] or "not told"
        return (
            f"this request comes from another site (its origin: {shown}); as it does not come from a page of this "
            "console or of an origin listed in allowed_origins, it was refused"
        )


class RefuseForeignPages:
    """Answers 403 to what a page of another site wants changed; ``open_to_pages`` are paths that any page may call.

    One that ends in ``/`` opens all below it.
    """

    def __init__(self, app: App, rule: SameOrigin, *, open_to_pages: Iterable[str] = ()) -> None:
        self._app, self._rule = app, rule
        paths = tuple(open_to_pages)
        self._exact = frozenset(paths)
        self._prefixes = tuple(path for path in paths if path.endswith("/") and path != "/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = self._objection(scope)
        if why is None:
            await self._app(scope, receive, send)
            return
        body = why.encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _objection(self, scope: Scope) -> str | None:
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS:
            return None
        path = scope["path"]
        return None if path in self._exact or path.startswith(self._prefixes) else self._rule.objection(scope)


def _own(scope: Scope, headers: dict[bytes, list[bytes]]) -> str | None:
    """The origin under which we were asked. A proxy before us may say that TLS ended there; no page can make a browser
    say so. Where it asks us by another host than it was asked by, it is for ``allowed`` to name.
    """
    told = headers.get(b"x-forwarded-proto", [b""])[0].decode("latin-1").strip().lower()
    scheme = told if told in _PORTS else str(scope.get("scheme", "http"))
    return _joined(scheme, headers.get(b"host", [b""])[0].decode("latin-1").strip().lower())


def _joined(scheme: str, host: str) -> str | None:
    match = _HOST.fullmatch(host)
    return f"{scheme}://{match[1]}:{match[2] or _PORTS[scheme]}" if match else None


def _by_name(scope: Scope) -> dict[bytes, list[bytes]]:
    named: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        named.setdefault(name, []).append(value)
    return named
