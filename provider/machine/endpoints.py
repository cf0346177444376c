"""What gateways are told of a function."""

from __future__ import annotations

from collections.abc import Iterable

from springtide.provider.machine.records import FunctionRecord
from springtide.scaler.core import call_timeout
from springtide.wire.endpoint_stream import Endpoint, FunctionEndpoints


def endpoints_of(
    record: FunctionRecord, ready: Iterable[Endpoint], *, problem: str | None, lasting: bool, next_start: float | None
) -> FunctionEndpoints:
    """``next_start`` is in seconds of the epoch; None when nothing is being waited for."""
    return FunctionEndpoints(
        ref=record.ref,
        replicas=record.replicas,
        version=record.version,
        endpoints=tuple(ready),
        labels=record.labels,
        problem=problem,
        lasting=lasting,
        annotations=dict(record.spec.annotations),
        next_start=next_start,
        timeout=call_timeout.of_function(record.spec.annotations, record.spec.env_vars),
        learned_wake=record.learned_wake,
        created_at=record.created_at,
        changed_at=record.current.deployed_at,
        longest_start_s=record.longest_start_s,
    )
