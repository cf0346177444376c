"""What a gateway opens of the broker while it stops is closed with the rest."""

from __future__ import annotations

import asyncio

import pytest

from springtide.gateway.asynchronous.stores import Stores
from springtide.runtime.errors import Unavailable
from springtide.wire.jobs.settings import BrokerSettings

AWAY = BrokerSettings(nats_url=("nats://127.0.0.1:1",))


async def test_what_is_opened_while_all_is_closed_is_closed_too() -> None:
    stores = Stores(AWAY, name="test")
    opening = asyncio.create_task(stores.open())
    await asyncio.sleep(0)  # until it waits for its import

    await stores.aclose()

    with pytest.raises(Unavailable, match="closed"):
        await (await opening).depths()


async def test_nothing_is_opened_once_all_is_closed() -> None:
    stores = Stores(AWAY, name="test")
    await stores.aclose()
    with pytest.raises(Unavailable, match="the gateway stops"):
        await stores.open()
