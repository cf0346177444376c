"""Who may write replicas: one table. A write that it refuses is a hold with the reason it returns.

    from  to     may write
    0     n      a wake (or a person)
    n     0      the idler, for a function that opted in (or a person)
    n     m      the alert path, or the HPA where the labels hand the function to one (or a person)

Here n, m ≥ 1. Nothing else may, so no two automatic writers ever share a transition.
"""

from __future__ import annotations

from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import Reason, Writer


def steady_owner(policy: ScalePolicy) -> Writer:
    """Who moves a running function between 1 and its maximum."""
    return Writer.HPA if policy.on_hpa else Writer.ALERT


def refusal(writer: Writer, policy: ScalePolicy, before: int, after: int) -> Reason | None:
    """Why ``writer`` must not change the count from ``before`` to ``after``; None when it may."""
    if writer is Writer.PERSON or before == after:
        return None
    if before == 0:
        return None if writer is Writer.WAKE else Reason.ASLEEP
    if after == 0:
        if writer is not Writer.IDLER:
            return Reason.NOT_OWNER
        return None if policy.zero else Reason.NOT_OPTED_IN
    return None if writer is steady_owner(policy) else Reason.NOT_OWNER
