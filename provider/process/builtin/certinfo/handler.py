"""The TLS certificate of a host: who it is for, who signed it, and how long it is good."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from typing import Any

DEADLINE_S = 5.0
_HOST = re.compile(r"(?:https://)?([A-Za-z0-9](?:[-A-Za-z0-9.]{0,252}[A-Za-z0-9])?)(?::([0-9]{1,5}))?/?")


def handle(event: Any, _context: Any) -> dict[str, Any]:
    """The body is HOST, HOST:PORT or an https address."""
    body = event.body if isinstance(event.body, bytes) else str(event.body).encode()
    match = _HOST.fullmatch(body[:300].decode(errors="replace").strip())
    if match is None or int(match[2] or 443) > 65_535:
        return {"statusCode": 400, "body": "send HOST, HOST:PORT or https://HOST as the body\n"}
    try:
        about = _certificate(match[1], int(match[2] or 443))
    except (OSError, ValueError) as error:
        return {"statusCode": 502, "body": f"{match[1]}: {error}\n"}
    return {"statusCode": 200, "body": json.dumps(about), "headers": {"Content-Type": "application/json"}}


def _certificate(host: str, port: int) -> dict[str, Any]:
    with (
        socket.create_connection((host, port), DEADLINE_S) as plain,
        ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure,
    ):
        found: Any = secure.getpeercert()
        ends_at = ssl.cert_time_to_seconds(found["notAfter"])
        return {
            "host": host,
            "address": secure.getpeername()[0],
            "protocol": secure.version(),
            "names": [name for _, name in found.get("subjectAltName", ())],
            "issuer": {key: value for part in found.get("issuer", ()) for key, value in part},
            "not_before": found["notBefore"],
            "not_after": found["notAfter"],
            "days_left": int((ends_at - time.time()) // 86_400),
        }
