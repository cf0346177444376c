"""Writing a message with headers, as the client's ``publish`` does, for a third of what that takes of the processor.

It looks at each header by itself, in several passes; ours are a few, of our own making, and on one line each. This uses
what the client keeps to itself: where another version of it has that no more, its own way is taken.
"""

from __future__ import annotations

from collections.abc import Mapping

from nats.aio.client import Client
from nats.errors import MaxPayloadError

_VERSION = "NATS/1.0\r\n"
_AS_KNOWN = all(hasattr(Client, name) for name in ("_send_command", "_flush_pending"))


async def publish(client: Client, subject: str, body: bytes, reply: str, headers: Mapping[str, str]) -> None:
    """``client`` is connected; its subject and reply are words of ours. Written with all else that is written in this
    turn of the loop. Raises MaxPayloadError, and ValueError for a header of more than one line."""
    kicks = getattr(client, "_flush_queue", None)
    if not _AS_KNOWN or kicks is None:
        await client.publish(subject, body, reply, dict(headers))
        return
    head = encoded(headers)
    if len(head) + len(body) > client.max_payload:  # on such a one the server closes the connection
        raise MaxPayloadError
    line = b"HPUB %b %b %d %d\r\n" % (subject.encode(), reply.encode(), len(head), len(head) + len(body))
    await client._send_command(b"".join((line, head, body, b"\r\n")))
    if kicks.empty():
        await client._flush_pending()


def encoded(headers: Mapping[str, str]) -> bytes:
    # Not formatted: of the client's names, which are an enumeration, that is something else than what they are.
    lines = "".join([name + ": " + value + "\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a header of a message has more than one line")
    return f"{_VERSION}{lines}\r\n".encode()
