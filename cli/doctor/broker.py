"""What may be wrong with the broker of asynchronous calls."""

from __future__ import annotations

from collections.abc import Sequence

from springtide.cli.doctor.broker_facts import BrokerFacts
from springtide.cli.doctor.findings import Check, Verdict, error, named, ok, warning
from springtide.cli.nats_server import MIN_VERSION, NatsServer
from springtide.cli.tools import Missing
from springtide.runtime.durations import format_duration
from springtide.runtime.errors import SpringtideError, Unsupported
from springtide.wire.jobs.bounds import Bounds
from springtide.wire.jobs.server_seen import Monitoring, ServerSeen

MEBIBYTE, GIBIBYTE = 1024**2, 1024**3
MIN_PAYLOAD_BYTES = 2 * MEBIBYTE
"""A job's largest body in a message, and its headers."""

NEARLY_FULL, FULL = 0.8, 0.95
SET_ASIDE_BYTES = Bounds().set_aside_bytes


def program(facts: BrokerFacts) -> Verdict | None:
    """Of a local suite."""
    match facts.program:
        case None:
            return None
        case Missing(why):
            said, _, remedy = why.rpartition("; ")
            return warning(f"asynchronous calls are off: {said}", remedy)
        case NatsServer(where, version):
            return ok(f"nats-server {version}, {where}")


def reachable(facts: BrokerFacts) -> Verdict | None:
    if facts.suite:
        return warning(facts.suite, "springtide up, with springtide[async] installed; or name a server: --nats-url")
    match facts.server:
        case ServerSeen(version=version):
            return ok(f"it answers, as version {version}")
        case Unsupported():
            return ok("it answers")
        case SpringtideError() as problem if "authorization" in str(problem).lower():
            return error(str(problem), _login_remedy(facts))
        case SpringtideError() as problem:
            ours = "look into logs/nats.log in the state folder for what keeps it from starting"
            return error(str(problem), ours if facts.program is not None else "is it running, and is this its address?")
        case None:
            return None


def _login_remedy(facts: BrokerFacts) -> str:
    if facts.program is not None:
        return "start the suite again: it sets the server up for what is in secrets/nats-user and secrets/nats-password"
    return "name what lets in: --nats-credentials-path"


def version(facts: BrokerFacts) -> Verdict | None:
    if not isinstance(facts.server, ServerSeen):
        return None
    wanted, told = ".".join(map(str, MIN_VERSION)), facts.server.version
    numbers = told.split(".")[:2]
    if not all(number.isdigit() for number in numbers) or tuple(map(int, numbers)) < MIN_VERSION:
        return error(f"{told} has no message schedules, which delayed calls need", f"nats-server {wanted} or newer")
    return ok(f"{told}; {wanted} is needed")


def jetstream(facts: BrokerFacts) -> Verdict | None:
    if isinstance(facts.server, Unsupported):
        return error(str(facts.server), "switch JetStream on in its configuration, for this login's account, too")
    return ok("JetStream is on") if isinstance(facts.server, ServerSeen) else None


def payload(facts: BrokerFacts) -> Verdict | None:
    if not isinstance(facts.server, ServerSeen):
        return None
    size = facts.server.max_payload_bytes
    if size < MIN_PAYLOAD_BYTES:
        return error(
            f"it takes messages of {_bytes(size)} at most; a job with its body has up to {_bytes(MIN_PAYLOAD_BYTES)}",
            "max_payload: 8MB in its configuration",
        )
    return ok(f"messages of up to {_bytes(size)}")


def sync(facts: BrokerFacts) -> Verdict | None:
    """Whether accepted means on disk."""
    if not isinstance(facts.server, ServerSeen):
        return None
    match facts.monitoring:
        case Monitoring(sync_always=True):
            return ok("each write is on disk before it is acknowledged")
        case Monitoring(sync_interval_s=seconds):
            return warning(
                f"writes are synced every {format_duration(seconds)} only: what was accepted since dies with the power",
                "sync_interval: always in its configuration"
                if facts.program is None
                else "springtide up --queue-sync always",
            )
        case str() as unknown:
            return warning(
                f"not known whether writes are synced before they are acknowledged: {unknown}",
                "name the monitoring port: --nats-monitoring-url http://host:8222; "
                "or ask who runs it for sync_interval: always",
            )


def disk(facts: BrokerFacts) -> Verdict | None:
    if facts.disk is None:
        return None
    used, told = 1 - facts.disk.free_bytes / facts.disk.total_bytes, _bytes(facts.disk.free_bytes)
    says = f"{told} free at {facts.disk.folder}, {used:.0%} used"
    remedy = "make room on that disk: when it is full, calls are refused"
    if used >= FULL and facts.disk.free_bytes < GIBIBYTE:
        return error(says, remedy)
    return warning(says, remedy) if used >= NEARLY_FULL and facts.disk.free_bytes < 5 * GIBIBYTE else ok(says)


def room(facts: BrokerFacts) -> Verdict | None:
    """Of what the server may keep, or the account."""
    if not isinstance(facts.server, ServerSeen):
        return None
    bounds = [(facts.server.stored_bytes, facts.server.max_stored_bytes, "the account")]
    if isinstance(facts.monitoring, Monitoring):
        bounds.append((facts.monitoring.stored_bytes, facts.monitoring.max_stored_bytes, "the server"))
    known = [(kept / limit, kept, limit, whose) for kept, limit, whose in bounds if limit]
    if not known:
        return None
    if (least := min(limit for _, _, limit, _ in known)) < SET_ASIDE_BYTES:
        return error(
            f"{_bytes(least)} may be kept, and {_bytes(SET_ASIDE_BYTES)} are set aside for answers and keys: calls are "
            "accepted, and none is run",
            "let the account, or the server, keep more",
        )
    share, kept, limit, whose = max(known)
    says = f"{_bytes(kept)} kept of the {_bytes(limit)} that {whose} may ({share:.0%})"
    remedy = "see which stream grows; make room, and start the server again so that it may use it"
    if share >= FULL:
        return error(says, remedy)
    return warning(says, remedy) if share >= NEARLY_FULL else ok(says)


def streams(facts: BrokerFacts) -> Verdict | None:
    """Whether each takes and gives messages."""
    if not isinstance(facts.server, ServerSeen):
        return None
    if facts.unread:
        return error(
            f"on disk, and not known to the server: {named(facts.unread)}",
            "it says why in logs/nats.log; a description that is damaged is made anew when a call is queued",
        )
    if isinstance(facts.monitoring, Monitoring) and facts.monitoring.trouble:
        return error(
            f"the server says: {facts.monitoring.trouble}",
            "a full disk: make room, and the suite starts it again; else see its log",
        )
    if leaderless := [stream.name for stream in facts.server.streams if stream.leaderless]:
        return error(f"without a leader: {named(leaderless)}", "most of their servers are away: start them")
    if behind := [stream.name for stream in facts.server.streams if stream.behind]:
        return warning(f"not all copies are there: {named(behind)}", "start the servers that are away")
    return ok(f"{len(facts.server.streams)}, all well; {sum(s.messages for s in facts.server.streams)} messages")


def damage(facts: BrokerFacts) -> Verdict | None:
    """Whether what was written can be read. The server passes over what cannot, and says so nowhere else."""
    if not isinstance(facts.server, ServerSeen):
        return None
    lost = [f"{stream.name} ({_bytes(stream.lost_bytes)})" for stream in facts.server.streams if stream.lost_bytes]
    if lost and isinstance(facts.monitoring, Monitoring) and facts.monitoring.cannot_write:
        return warning(
            "not known: what it cannot write, and did not accept, counts as lost until it is started anew",
            "make room on its disk first, and ask again",
        )
    if lost:
        return error(
            f"messages are missing, for they could not be read from its disk: {named(lost)}",
            "calls that were accepted and have no outcome are to be made again; see what is wrong with that disk. "
            "A file system with checksums, or three copies, would have kept them",
        )
    known = [stream for stream in facts.server.streams if stream.lost_bytes is not None]
    return ok("all that was read is as it was written") if known else None


def copies(facts: BrokerFacts) -> Verdict | None:
    """Whether as many servers keep a queue's calls as is wished."""
    if not isinstance(facts.server, ServerSeen):
        return None
    wished = facts.settings.queue_replicas
    fewer = [stream.name for stream in facts.server.streams if stream.replicas < wished]
    if fewer:
        return warning(
            f"less than {wished} copies: {named(fewer)}", "restart gateways and workers with queue_replicas as wished"
        )
    return ok(f"{wished} of each message, as wished") if facts.server.streams else None


CHECKS: Sequence[Check[BrokerFacts]] = (
    program, reachable, version, jetstream, payload, sync, disk, room, streams, damage, copies
)  # fmt: skip


def _bytes(count: int) -> str:
    for unit, size in (("GiB", GIBIBYTE), ("MiB", MEBIBYTE), ("KiB", 1024)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} B"
