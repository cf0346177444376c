from __future__ import annotations

import asyncio

from springtide.runtime.keyed_locks import KeyedLocks


async def _hold(locks: KeyedLocks[str], key: str, log: list[str], *, name: str, until: asyncio.Event) -> None:
    async with locks.of(key):
        log.append(f"{name} begins")
        await until.wait()
        log.append(f"{name} ends")


async def test_same_key_waits_and_another_does_not() -> None:
    locks, log, go = KeyedLocks[str](), list[str](), asyncio.Event()
    tasks = [
        asyncio.create_task(_hold(locks, key, log, name=name, until=go))
        for key, name in (("a", "first"), ("a", "second"), ("b", "other"))
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert log == ["first begins", "other begins"]
    assert len(locks) == 2

    go.set()
    await asyncio.gather(*tasks)

    assert log.index("first ends") < log.index("second begins")


async def test_nothing_is_kept_of_a_key_that_nobody_holds_or_awaits() -> None:
    locks = KeyedLocks[str]()
    for number in range(1000):
        async with locks.of(str(number)):
            assert len(locks) == 1

    assert len(locks) == 0


async def test_lock_survives_a_waiter_that_gives_up() -> None:
    locks, log, go = KeyedLocks[str](), list[str](), asyncio.Event()
    first = asyncio.create_task(_hold(locks, "a", log, name="first", until=go))
    second = asyncio.create_task(_hold(locks, "a", log, name="second", until=go))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait([second])

    assert locks.of("a").locked()

    go.set()
    await first
    assert log == ["first begins", "first ends"]
