from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from springtide.queue_worker.broker_watch import LOOK_S, QueueSeen, queue_seen, watch
from springtide.runtime.errors import SpringtideError, Unavailable
from springtide.wire.jobs.server_seen import BrokerSeen, Monitoring, ServerSeen, StreamSeen


def stream(name: str, messages: int, *, first_at: float = 0.0, last_number: int = 0) -> StreamSeen:
    return StreamSeen(
        name=name,
        messages=messages,
        stored_bytes=0,
        replicas=1,
        leaderless=False,
        behind=0,
        first_at=first_at,
        last_number=last_number,
    )


def server(*streams: StreamSeen, kept: int = 100, room: int | None = None) -> ServerSeen:
    return ServerSeen(
        id="S1", version="2.12.1", max_payload_bytes=8, stored_bytes=kept, max_stored_bytes=room, streams=streams
    )


def monitoring(
    *, kept: int = 300, room: int = 1000, always: bool = True, every_s: float = 120.0, trouble: str = ""
) -> Monitoring:
    return Monitoring(
        server_id="S1",
        clustered=False,
        sync_always=always,
        sync_interval_s=every_s,
        stored_bytes=kept,
        max_stored_bytes=room,
        trouble=trouble,
    )


def test_streams_of_the_queue_and_of_all_queues_are_read_by_name() -> None:
    of_others = (stream("OF_other", 50, first_at=1.0), stream("OF_other_DEAD", 60))
    ours = (stream("OF_q", 7, first_at=5.0, last_number=99), stream("OF_q_DEAD", 2))
    shared = (stream("OF_DELAYED", 3), stream("OF_CALLBACKS", 4))

    found = queue_seen(BrokerSeen(server(*of_others, *ours, *shared), None), "q")

    assert (found.last_number, found.oldest_at, found.dead, found.delayed, found.callbacks) == (99, 5.0, 2, 3, 4)


def test_streams_that_are_not_there_have_had_nothing() -> None:
    found = queue_seen(BrokerSeen(server(), None), "q")

    assert (found.last_number, found.oldest_at, found.dead, found.delayed, found.callbacks) == (0, 0.0, 0, 0, 0)


@pytest.mark.parametrize(
    ("seen", "kept", "room"),
    [
        pytest.param(BrokerSeen(server(kept=100), None), 100, None, id="not known"),
        pytest.param(BrokerSeen(server(kept=100, room=200), None), 100, 200, id="the account's"),
        pytest.param(BrokerSeen(server(kept=100), monitoring()), 300, 1000, id="the server's"),
        pytest.param(BrokerSeen(server(kept=100, room=200), monitoring()), 100, 200, id="the nearer one"),
    ],
)
def test_room_is_the_one_that_is_full_first(seen: BrokerSeen, kept: int, room: int | None) -> None:
    found = queue_seen(seen, "q")

    assert (found.stored_bytes, found.max_stored_bytes) == (kept, room)


@pytest.mark.parametrize(
    ("told", "sync_s"),
    [
        pytest.param(None, None, id="not known"),
        pytest.param(monitoring(always=True), 0.0, id="always"),
        pytest.param(monitoring(always=False, every_s=120.0), 120.0, id="now and then"),
    ],
)
def test_it_is_said_when_writes_are_synced(told: Monitoring | None, sync_s: float | None) -> None:
    assert queue_seen(BrokerSeen(server(), told), "q").sync_s == sync_s


@pytest.mark.parametrize(
    ("seen", "stores"),
    [
        pytest.param(BrokerSeen(server(), None), True, id="nothing says otherwise"),
        pytest.param(BrokerSeen(server(), monitoring(trouble="OF_q write error: no space")), False, id="it"),
        pytest.param(BrokerSeen(server(), monitoring(trouble="OF_q has no leader")), True, id="other words"),
        pytest.param(BrokerSeen(server(), None, unanswered=True), False, id="a write that was not answered"),
    ],
)
def test_it_is_said_when_nothing_is_stored(seen: BrokerSeen, stores: bool) -> None:
    assert queue_seen(seen, "q").stores is stores


@pytest.mark.parametrize(("unanswered", "lost"), [(False, 600), (True, None)])
def test_what_a_server_could_not_write_does_not_count_as_lost(unanswered: bool, lost: int | None) -> None:
    damaged = replace(stream("OF_q", 7), lost_bytes=600)

    assert queue_seen(BrokerSeen(server(damaged), None, unanswered=unanswered), "q").lost_bytes == lost


class View:
    """Answers in turn, then for ever as the last time."""

    def __init__(self, answers: Sequence[BrokerSeen | SpringtideError]) -> None:
        self._answers = list(answers)
        self.reconnects = 0

    async def seen(self) -> BrokerSeen:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, SpringtideError):
            self.reconnects += 1
            raise answer
        return answer


class Notes:
    def __init__(self) -> None:
        self.noted: list[tuple[float, int | None]] = []

    def broker_seen(self, seen: QueueSeen, *, reconnects: int) -> None:
        assert seen.dead == 0
        self.noted.append((asyncio.get_running_loop().time(), reconnects))

    def broker_away(self) -> None:
        self.noted.append((asyncio.get_running_loop().time(), None))


@pytest.mark.virtual_time
async def test_broker_is_looked_at_for_ever_also_while_it_is_away() -> None:
    there, notes = BrokerSeen(server(), None), Notes()
    start = asyncio.get_running_loop().time()

    watching = asyncio.create_task(watch(View([there, Unavailable("away"), there]), "q", notes))
    await asyncio.sleep(2.5 * LOOK_S)
    watching.cancel()

    assert notes.noted == [(start, 0), (start + LOOK_S, None), (start + 2 * LOOK_S, 1)]
