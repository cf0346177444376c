"""One message of a stream: read, or taken away."""

from __future__ import annotations

from nats.js.api import RawStreamMsg
from nats.js.errors import APIError, NotFoundError

from springtide.wire.jobs.nats.connection import Connection, translated

_NO_SUCH_SEQUENCE = 10043


async def last(
    connection: Connection, stream: str, subject: str, *, doing: str, direct: bool = True
) -> RawStreamMsg | None:
    """That of a subject; None where there is none. ``direct``: from any server that has it, which is quicker; but then
    the stream has to be there."""
    async with translated(doing):
        jetstream = await connection.jetstream()
        try:
            return await jetstream.get_msg(stream, subject=subject, direct=direct)
        except NotFoundError:
            return None


async def removed(connection: Connection, stream: str, sequence: int, *, doing: str) -> bool:
    """This very one, and none that came in its place; whether it was there still."""
    async with translated(doing):
        try:
            return await (await connection.jetstream()).delete_msg(stream, sequence)
        except APIError as error:
            if error.err_code != _NO_SUCH_SEQUENCE:
                raise
            return False
