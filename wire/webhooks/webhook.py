"""Which deliveries a function takes at ``/webhook/NAME``, by its annotations."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from springtide.runtime.errors import BadInput
from springtide.wire.events.delivery_mode import DeliveryMode, delivery_mode

WEBHOOK = "com.springtide.webhook"
SECRET = "com.springtide.webhook.secret"  # noqa: S105 - the name of an annotation
MAX_SECRETS = 2
"""The new one and the one before it, while senders change over."""

MAX_BODY = 64 * 1024 * 1024
"""Bytes of a delivery that can be checked."""

NOT_ACCEPTED = "the delivery is not accepted"
"""All that the sender of a wrong one is told."""

NO_WEBHOOK = "there is no webhook"
"""The same for a function that takes no deliveries as for one that is not there."""

MAX_SHOWN = 80
"""Characters of a wrong value that its problem repeats."""


class Kind(enum.StrEnum):
    """Who sends, and so how a delivery is signed."""

    GITHUB = "github"
    STRIPE = "stripe"
    SLACK = "slack"
    STANDARD = "standard"
    """https://www.standardwebhooks.com"""
    ALERTMANAGER = "alertmanager"
    """Not signed: it shows a bearer token, or a user and a password."""
    NONE = "none"
    """Anybody."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """What a function takes. A right proof is one by any of the ``secrets``; ``delivery`` None: as is usual here."""

    kind: Kind
    secrets: tuple[str, ...]
    delivery: DeliveryMode | None


def webhook_of(annotations: Mapping[str, str], secrets: Collection[str] | None = None) -> Webhook | None:
    """None for a function that takes none. ``secrets`` are those that the function names; None: not known here.

    Raises BadInput as ``problems_of`` tells.
    """
    if problems := tuple(problems_of(annotations, secrets)):
        raise BadInput("\n".join(problems))
    kind = annotations.get(WEBHOOK, "").strip()
    if not kind:
        return None
    modes = {delivery_mode(annotations, default) for default in DeliveryMode}
    return Webhook(Kind(kind), _names(annotations), modes.pop() if len(modes) == 1 else None)


def problems_of(annotations: Mapping[str, str], secrets: Collection[str] | None) -> Iterator[str]:
    """What is wrong with a function's annotations: each with key, value and remedy. An empty value is an unset one."""
    try:
        delivery_mode(annotations, DeliveryMode.ASYNC)
    except ValueError as error:
        yield f"annotation {error}"
    for key in annotations:
        if key.startswith(f"{WEBHOOK}.") and key != SECRET:
            yield f"annotation {key[:MAX_SHOWN]}: not known; is it {SECRET}?"
    kind, names = annotations.get(WEBHOOK, "").strip(), _names(annotations)
    if kind and kind not in list(Kind):
        yield f"annotation {WEBHOOK}={kind[:MAX_SHOWN]!r}: write one of {', '.join(Kind)}"
        return
    if not kind and names:
        yield f"{_shown(names)}: there is no {WEBHOOK} beside it; add it, with one of {', '.join(Kind)}"
    elif kind == Kind.NONE and names:
        yield f"{_shown(names)}: {WEBHOOK}=none checks nothing; leave the secret out, or say who sends"
    elif kind not in ("", Kind.NONE) and not names:
        yield (
            f"annotation {WEBHOOK}={kind!r}: whose secret signs is not said; add {SECRET} with the name of a secret, "
            f"or write {WEBHOOK}=none to take deliveries of anybody"
        )
    if len(names) > MAX_SECRETS:
        yield f"{_shown(names)}: name at most {MAX_SECRETS}, the new one and the one before it"
    missing = [name for name in names if secrets is not None and name not in secrets]
    if missing and len(names) <= MAX_SECRETS:
        yield f"{_shown(names)}: the function does not name {' and '.join(missing)[:MAX_SHOWN]}; add it to its secrets"


def unknown_webhook(name: str) -> str:
    return f"{NO_WEBHOOK} {name[:100]!r}"


def _names(annotations: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in annotations.get(SECRET, "").split(",") if (name := part.strip())))


def _shown(names: tuple[str, ...]) -> str:
    return f"annotation {SECRET}={','.join(names)[:MAX_SHOWN]!r}"
