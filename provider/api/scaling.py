"""``/system/scale-function/{name}``: replicas by compare-and-set, and the decision behind each write kept.

``/system/wake/{name}``: what was learned of the function's wakes, how many replicas its next caller is to wake
(``replicas``) or how long the longest of its last starts took (``longestStartSeconds``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response

from springtide.provider.api.request_values import NamespaceRule, read_object
from springtide.provider.api.scale_accounting import ScaleAccounting
from springtide.provider.ports import Provider
from springtide.runtime import bounded_json
from springtide.runtime.errors import BadInput, Conflict
from springtide.runtime.routes import Routes
from springtide.scaler.core import explain, ownership
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.ports import Clock
from springtide.scaler.core.vocabulary import Decision, Function, FunctionRef, Instant, Reason, Writer
from springtide.wire import answer_headers, decision_log
from springtide.wire.leadership import LEADER_HEADER, Terms
from springtide.wire.provider_client import WAKE_PATH, WRITER_HEADER

LONGEST_START = "longestStartSeconds"

log = structlog.get_logger(__name__)


def router(
    provider: Provider, accounting: ScaleAccounting, clock: Clock, *, namespaces: NamespaceRule, terms: Terms
) -> Routes:
    routes = Routes()

    @routes.post("/system/scale-function/{name}")
    async def scale(request: Request, name: str) -> Response:
        body = await read_object(request)
        ref = FunctionRef(namespaces.of(request, body), name)
        replicas = _replicas(body)
        given = _decision(request, ref, replicas)
        before = await provider.read(ref)
        try:
            # Not before: a writer that was stopped halfway through its request may have been replaced since it began.
            terms.check(request.headers.get(LEADER_HEADER))
            _check_owner(given, before, replicas)
            after = await provider.write(ref, replicas, expect=_expected(request), decision=given)
        except Conflict:
            accounting.conflict(ref, given.writer if given is not None else Writer.PERSON)
            raise
        decision = given or _by_a_person(before, replicas, Instant(clock.wall()))
        accounting.written(decision)
        if decision.writer is Writer.PERSON and decision.changes:  # the other writers log what they decide
            log.info(
                "scaled by a person",
                function=str(ref),
                before=decision.before,
                after=decision.after,
                reason=decision.reason.value,
                why=decision.detail,
            )
        told = {"ETag": f'"{after.version}"', answer_headers.OWNER: ownership.owner_to_text(before.owner)}
        if decision.writer is Writer.PERSON and (warning := explain.moved_on(before.owner, replicas)):
            told[answer_headers.WARNING] = warning
        return Response(status_code=202, headers=told)

    @routes.post(f"{WAKE_PATH}/{{name}}")
    async def keep_wake(request: Request, name: str) -> Response:
        body = await read_object(request)
        terms.check(request.headers.get(LEADER_HEADER))
        ref = FunctionRef(namespaces.of(request, body), name)
        if LONGEST_START in body:
            await provider.keep_start(ref, _seconds(body[LONGEST_START]))
        if "replicas" in body or LONGEST_START not in body:
            await provider.keep_wake(ref, _replicas(body))
        return Response(status_code=202)

    return routes


def _replicas(body: Mapping[str, Any]) -> int:
    value = body.get("replicas")
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadInput(f"replicas: must be a whole number, zero or more, not {value!r}")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"{LONGEST_START}: must be a number of seconds, not {str(value)[:40]!r}")
    return float(value)


def _expected(request: Request) -> str | None:
    """The version in ``If-Match``, None where any will do."""
    text = request.headers.get("if-match", "").strip()
    return None if text in ("", "*") else text.removeprefix("W/").strip('"')


def _decision(request: Request, ref: FunctionRef, replicas: int) -> Decision | None:
    """The decision the writer sent along, which must be about this very write: the log is evidence."""
    text = request.headers.get(WRITER_HEADER)
    if text is None:
        return None
    try:
        decision = decision_log.from_json(bounded_json.loads(text))
    except ValueError as error:
        raise BadInput(f"{WRITER_HEADER}: not JSON: {error}") from error
    if (decision.ref, decision.after) != (ref, replicas):
        raise BadInput(
            f"{WRITER_HEADER}: says {decision.ref} to {decision.after} replicas, the request says {ref} to {replicas}"
        )
    return decision


def _check_owner(decision: Decision | None, before: Function, replicas: int) -> None:
    """Raises Conflict for a writer that may not make this change: it decided on a count or labels of before."""
    if decision is None:
        return
    policy, count = ScalePolicy.from_labels(before.labels)[0], before.scale.desired
    if ownership.refusal(decision.writer, policy, count, replicas, owner=before.owner) is not None:
        raise Conflict(explain.not_allowed(replace(decision, before=count)))


def _by_a_person(before: Function, replicas: int, now: Instant) -> Decision:
    limits = ScalePolicy.from_labels(before.labels)[0].limits
    detail = "asked for through the API"
    return Decision(before.ref, Writer.PERSON, before.scale.desired, replicas, Reason.MANUAL, detail, now, limits)
