"""What keeps other sites out of the console: one policy for what a page may load, one proof for every act."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response

from springtide.runtime.asgi import App, Receive, Scope, Send
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import SpringtideError

COOKIE, TOKEN_HEADER = "springtide-console", "x-console-token"
POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Forbidden(SpringtideError):
    """403: who asks may well be who they say, but no page of ours sent this."""


class SafeHeaders:
    """Adds the policy to every answer."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def safely(message: Scope) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, safely)


class Guard:
    """Proof that a request to act was made by a page of ours: a token bound to a cookie.

    That no page of another site sent it, the server sees to that the console is served by (``runtime.same_origin``).
    """

    def __init__(self, credentials: Credentials | None) -> None:
        # From the password, so that an open page outlives a restart of the console.
        key = credentials.password.encode() if credentials else secrets.token_bytes(32)
        self._key = hashlib.sha256(b"springtide console token\0" + key).digest()

    def token(self, request: Request, response: Response) -> str:
        """The token for a page, and the cookie it belongs to."""
        nonce = request.cookies.get(COOKIE) or secrets.token_urlsafe(24)
        if COOKIE not in request.cookies:
            response.set_cookie(
                COOKIE,
                nonce,
                path="/ui/",
                httponly=True,
                samesite="strict",
                secure=request.headers.get("x-forwarded-proto") == "https",
            )
        return self._sign(nonce)

    def check(self, request: Request) -> None:
        """Raises Forbidden for a request that no page of ours can have made."""
        if "origin" not in request.headers:
            raise Forbidden("this request does not come from a page of this console, so it was refused")
        nonce, given = request.cookies.get(COOKIE, ""), request.headers.get(TOKEN_HEADER, "")
        if not nonce or not hmac.compare_digest(self._sign(nonce).encode(), given.encode()):
            raise Forbidden("this page is out of date; load it again and repeat what you did")

    def _sign(self, nonce: str) -> str:
        return hmac.new(self._key, nonce.encode(), hashlib.sha256).hexdigest()
