"""Messages of a consumer, taken by a pull of its own each time."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import cast

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import Header

from springtide.runtime.errors import NotFound

PULL_MARGIN_S = 5.0
"""A server that has not answered so long after a pull should have ended will not. What it sends later comes to nobody,
and is out until its lease ends: a machine that is busy is waited for."""

_NO_RESPONDERS, _CONFLICT = "503", "409"


async def pulled(client: Client, subject: str, limit: int, wait_s: float) -> list[Msg]:
    """Raises NotFound where the consumer is gone.

    Waits for one message only: a pull for several that ends early would have the rest sent to nobody, and out until
    their lease ends.
    """
    messages = await _requested(client, subject, {"batch": limit, "no_wait": True}, wait_s=0.0)
    if messages or wait_s <= 0:
        return messages
    messages = await _requested(client, subject, {"batch": 1, "expires": int(wait_s * 1e9)}, wait_s=wait_s)
    if messages and limit > 1:
        messages += await _requested(client, subject, {"batch": limit - 1, "no_wait": True}, wait_s=0.0)
    return messages


async def _requested(client: Client, subject: str, request: Mapping[str, object], *, wait_s: float) -> list[Msg]:
    """What came in answer to one pull."""
    inbox, limit = client.new_inbox(), request["batch"]
    subscription = await client.subscribe(inbox)
    messages: list[Msg] = []
    try:
        await client.publish(subject, json.dumps(request).encode(), inbox)
        async with asyncio.timeout(wait_s + PULL_MARGIN_S):
            while len(messages) < cast("int", limit):
                message = await subscription.next_msg(timeout=None)
                status = (message.headers or {}).get(Header.STATUS)
                if status is None:
                    messages.append(message)
                elif status == _NO_RESPONDERS or (status == _CONFLICT and "Deleted" in str(message.headers)):
                    raise NotFound("the consumer is gone")
                else:
                    break
    except TimeoutError:
        pass
    except asyncio.CancelledError:
        with contextlib.suppress(NatsError):
            for message in messages:
                await message.nak()
        raise
    finally:
        with contextlib.suppress(NatsError):
            await subscription.unsubscribe()
    return messages
