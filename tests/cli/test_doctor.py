"""``springtide doctor``: each verdict by what is known, and the whole before real servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from springtide.cli import ports
from springtide.cli.doctor import broker, broker_facts
from springtide.cli.doctor.broker_facts import BrokerFacts, Disk
from springtide.cli.doctor.findings import Area, Finding, Level, Verdict, ok
from springtide.cli.nats_server import NatsServer
from springtide.cli.ports import PortClaims
from springtide.cli.tools import Missing
from springtide.runtime.errors import Unavailable, Unsupported
from springtide.wire.jobs.server_seen import WRITE_ERROR, Monitoring, ServerSeen, StreamSeen
from springtide.wire.jobs.settings import BrokerSettings
from tests.cli.conftest import Outcome, Terminal
from tests.cli.suite_broker import Broker, suite_broker

MIB, GIB = 1024**2, 1024**3
STREAM = StreamSeen(name="OF_jobs", messages=3, stored_bytes=300, replicas=1, leaderless=False, behind=0, lost_bytes=0)
SERVER = ServerSeen(
    id="N1", version="2.15.1", max_payload_bytes=8 * MIB, stored_bytes=0, max_stored_bytes=None, streams=(STREAM,)
)
MONITORING = Monitoring(
    server_id="N1",
    clustered=False,
    sync_always=True,
    sync_interval_s=120.0,
    stored_bytes=300,
    max_stored_bytes=100 * GIB,
    trouble="",
)
WELL = BrokerFacts(
    where="nats://127.0.0.1:4222",
    settings=BrokerSettings(nats_url=("nats://127.0.0.1:4222",)),
    program=NatsServer(Path("/t/nats-server"), "2.15.1"),
    server=SERVER,
    monitoring=MONITORING,
    disk=Disk(Path("/s/nats"), 100 * GIB, 60 * GIB),
)


def level(check: Callable[[BrokerFacts], Verdict | None], **facts: Any) -> Level | None:
    verdict = check(replace(WELL, **facts))
    if verdict is not None:
        assert (verdict.remedy == "") == (verdict.level is Level.OK), "what is not well has a remedy"
    return None if verdict is None else verdict.level


def server(**other: Any) -> ServerSeen:
    return replace(SERVER, **other)


def stream(**other: Any) -> ServerSeen:
    return server(streams=(replace(STREAM, **other),))


def test_all_is_well_where_it_is() -> None:
    assert [level(check) for check in broker.CHECKS] == [Level.OK] * len(broker.CHECKS)


@pytest.mark.parametrize(
    ("check", "facts", "found"),
    [
        pytest.param(broker.program, {"program": Missing("none; pip install it")}, Level.WARNING, id="no program"),
        pytest.param(broker.program, {"program": None}, None, id="another's program"),
        pytest.param(broker.reachable, {"suite": "no suite runs", "server": None}, Level.WARNING, id="no suite"),
        pytest.param(broker.reachable, {"server": Unavailable("refused")}, Level.ERROR, id="away"),
        pytest.param(broker.reachable, {"server": Unsupported("no JetStream")}, Level.OK, id="it answers all the same"),
        pytest.param(broker.version, {"server": server(version="2.11.9")}, Level.ERROR, id="too old"),
        pytest.param(broker.version, {"server": server(version="2.12.0")}, Level.OK, id="just new enough"),
        pytest.param(broker.version, {"server": server(version="3.0.0")}, Level.OK, id="newer"),
        pytest.param(broker.version, {"server": server(version="")}, Level.ERROR, id="no version"),
        pytest.param(broker.jetstream, {"server": Unsupported("no JetStream")}, Level.ERROR, id="no JetStream"),
        pytest.param(broker.jetstream, {"server": Unavailable("away")}, None, id="JetStream of one that is away"),
        pytest.param(broker.payload, {"server": server(max_payload_bytes=MIB)}, Level.ERROR, id="NATS's own payload"),
        pytest.param(
            broker.sync, {"monitoring": replace(MONITORING, sync_always=False)}, Level.WARNING, id="synced now and then"
        ),
        pytest.param(broker.sync, {"monitoring": "nobody tells"}, Level.WARNING, id="not known is not well"),
        pytest.param(broker.disk, {"disk": None}, None, id="another's disk"),
        pytest.param(broker.disk, {"disk": Disk(Path("/s"), 100 * GIB, 4 * GIB)}, Level.WARNING, id="disk nearly full"),
        pytest.param(broker.disk, {"disk": Disk(Path("/s"), 100 * GIB, 9 * MIB)}, Level.ERROR, id="disk full"),
        pytest.param(broker.disk, {"disk": Disk(Path("/s"), 5000 * GIB, 100 * GIB)}, Level.OK, id="a large disk"),
        pytest.param(
            broker.room, {"monitoring": replace(MONITORING, stored_bytes=85 * GIB)}, Level.WARNING, id="little room"
        ),
        pytest.param(
            broker.room, {"monitoring": replace(MONITORING, stored_bytes=99 * GIB)}, Level.ERROR, id="no room"
        ),
        pytest.param(
            broker.room,
            {"server": server(stored_bytes=9 * GIB, max_stored_bytes=10 * GIB)},
            Level.WARNING,
            id="the account's room",
        ),
        pytest.param(
            broker.room, {"server": server(max_stored_bytes=600 * MIB)}, Level.ERROR, id="less than buckets set aside"
        ),
        pytest.param(broker.room, {"monitoring": "nobody tells"}, None, id="room not known"),
        pytest.param(broker.streams, {"unread": ("OF_jobs",)}, Level.ERROR, id="a stream is not read"),
        pytest.param(
            broker.streams,
            {"monitoring": replace(MONITORING, trouble="write error")},
            Level.ERROR,
            id="it cannot write",
        ),
        pytest.param(broker.streams, {"server": stream(leaderless=True)}, Level.ERROR, id="no leader"),
        pytest.param(broker.streams, {"server": stream(behind=1)}, Level.WARNING, id="a copy is away"),
        pytest.param(broker.damage, {"server": stream(lost_bytes=1)}, Level.ERROR, id="a byte could not be read"),
        pytest.param(broker.damage, {"server": stream(lost_bytes=None)}, None, id="damage not known"),
        pytest.param(
            broker.damage,
            {"server": stream(lost_bytes=1), "monitoring": replace(MONITORING, trouble=WRITE_ERROR)},
            Level.WARNING,
            id="what was not written was not accepted",
        ),
        pytest.param(
            broker.copies, {"settings": replace(WELL.settings, queue_replicas=3)}, Level.WARNING, id="too few copies"
        ),
        pytest.param(broker.copies, {"server": stream(replicas=3)}, Level.OK, id="more copies than wished"),
    ],
)
def test_verdict(check: Callable[[BrokerFacts], Verdict | None], facts: dict[str, Any], found: Level | None) -> None:
    assert level(check, **facts) is found


def test_login_that_is_refused_has_a_remedy_of_its_own() -> None:
    refused = Unavailable("the queue's server: nats: 'Authorization Violation'")

    theirs = broker.reachable(replace(WELL, server=refused, program=None))
    ours = broker.reachable(replace(WELL, server=refused))

    assert theirs is not None
    assert theirs.remedy == "name what lets in: --nats-credentials-path"
    assert ours is not None
    assert "start the suite again" in ours.remedy


async def test_finding_is_named_by_area_and_check_and_what_does_not_apply_is_none() -> None:
    def first(fact: int) -> Verdict:
        return ok(f"{fact}")

    def second(_: int) -> None:
        return None

    async def gather() -> int:
        return 3

    assert await Area("here", gather, (first, second)).examine() == [Finding("here.first", ok("3"))]


def told(outcome: Outcome) -> dict[str, str]:
    return {item["check"]: item["level"] for item in json.loads(outcome.out)["checks"]}


def asked(terminal: Terminal, server: Broker, *more: str) -> Outcome:
    return terminal("doctor", "--json", "--nats-url", server.url, *more)


def test_server_by_its_address_is_looked_at_through_login_and_monitoring(terminal: Terminal, tmp_path: Path) -> None:
    with suite_broker(tmp_path / "nats") as server, suite_broker(tmp_path / "other", sync_every_s=120) as other:
        asyncio.run(server.start())
        asyncio.run(other.start())
        asyncio.run(server.publish(2))
        login = ("--nats-credentials-path", str(server.log_in(tmp_path)))
        port = f"http://127.0.0.1:{server.monitoring}"

        well = asked(terminal, server, *login, "--nats-monitoring-url", port)
        shut_out = asked(terminal, server)
        unknown = asked(terminal, server, *login)
        anothers = asked(terminal, other, *login, "--nats-monitoring-url", port)
        loose = asked(terminal, other, *login, "--nats-monitoring-url", f"http://127.0.0.1:{other.monitoring}")

    assert (well.status, set(told(well).values()), well.err) == (0, {"ok"}, "")
    assert (shut_out.status, told(shut_out)) == (1, {"broker.reachable": "error"})
    assert "Authorization Violation" in shut_out.out
    for outcome in (unknown, anothers, loose):
        assert outcome.status == 0, "a warning is no failure"
        assert told(outcome)["broker.sync"] == "warning"
    assert "synced every 2m only" in loose.out
    assert "another server listens at" in anothers.out


def test_server_that_is_away_is_an_error_with_its_reason(terminal: Terminal) -> None:
    port = ports.free("127.0.0.1", PortClaims())

    outcome = terminal("doctor", "--nats-url", f"nats://127.0.0.1:{port}")

    assert outcome.status == 1
    assert "Connect call failed" in outcome.out
    assert outcome.out.count("→") == 1
    assert outcome.err == ""


def test_without_a_suite_that_is_said(terminal: Terminal, tmp_path: Path) -> None:
    """Another folder's suite may have the ports here: that is one more error, and none of this one's."""
    outcome = terminal("doctor", "--state-dir", str(tmp_path / "none"))

    wrong = [line.split()[1] for line in outcome.out.splitlines() if line.startswith("error ")]
    assert set(wrong) <= {"machine.ports"}
    assert outcome.status == len(wrong)
    assert f"no suite runs on {tmp_path / 'none'}" in outcome.out


def test_setting_that_cannot_be_is_refused_with_its_flag(terminal: Terminal) -> None:
    outcome = terminal("doctor", "--nats-url", "http://nats", "--queue-replicas", "2")

    assert outcome.status == 1
    assert "--nats-url: " in outcome.err
    assert "--queue-replicas: " in outcome.err


async def test_stream_that_lies_on_disk_and_is_not_known_is_found(tmp_path: Path) -> None:
    (tmp_path / "jetstream/$G/streams/OF_jobs").mkdir(parents=True)
    (tmp_path / "jetstream/$G/streams/OF_lost").mkdir()

    assert broker_facts.unread(tmp_path, SERVER) == ("OF_lost",)
