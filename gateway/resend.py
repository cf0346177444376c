"""When a call may be sent again, to the same replica or another. Pure: the call asks, and acts on the answer."""

from __future__ import annotations

from dataclasses import dataclass

from springtide.gateway.http1.response import ResponseHead

MAX_RESENDS = 2
"""A connection that was used before and one that was not may break under a call; then the call is at fault."""

MAX_REFUSALS = 6
"""Who refuses a call unseen is asked again this often, over two to three seconds; of several replicas each is, or those
that are full at one instant would be all that is asked."""

PROXY_REFUSED = b"\r\nx-openfaas-internal: proxy"
"""What marks an answer as the proxy's own: no replica has seen the call."""

FULL = b"\r\nx-openfaas-internal: faas-middleware"
"""What marks a watchdog's refusal of a call beyond its ``max_inflight``: the function has not seen it."""

_SAFE_TO_REPEAT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))


@dataclass(frozen=True, slots=True)
class ResendRules:
    """``max_kept_bytes`` of a body are kept for sending it again; ``retry_posts``: also what may not be done twice."""

    max_kept_bytes: int
    retry_posts: bool


JOB = b"\r\nx-springtide-job-id:"
"""What marks a call that a queue worker makes."""


def after_loss(method: bytes, resends: int, *, heard: bool, retry_posts: bool, job: bool = False) -> bool:
    """Whether to send a call again whose connection broke. ``heard``: some byte of an answer had come.

    Most often the replica closed an idle connection just as the call came, and nobody has seen it; but it may also
    have died while it worked on the call, and the two look the same from here. So a method that must not be executed
    twice is repeated only where the operator allows that. A ``job`` is never: its queue worker tries it again, counts
    the tries, and keeps one that ends its replicas away from others.
    """
    if heard or job or resends >= MAX_RESENDS:
        return False
    return retry_posts or method in _SAFE_TO_REPEAT


def after_refusal(head: ResponseHead, resends: int, *, by_proxy: bool, replicas: int = 1) -> bool:
    """Whether to send a call again that was refused before the function saw it.

    A provider's proxy (``by_proxy``) may learn of a replica later than the status does, and the last one may have gone
    since it was asked. A replica is full although we know its limit where others give it calls as well: another
    gateway, or a worker beside us.
    """
    if resends >= MAX_REFUSALS * max(1, replicas):
        return False
    if by_proxy:
        return head.status == 503 and PROXY_REFUSED in head.fields.lower()
    return head.status == 429 and FULL in head.fields.lower()
