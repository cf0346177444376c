from __future__ import annotations

import pytest

from springtide.runtime.errors import BadInput
from springtide.wire.events.delivery_mode import DeliveryMode
from springtide.wire.webhooks.webhook import Kind, Webhook, problems_of, webhook_of

KIND, SECRET = "com.springtide.webhook", "com.springtide.webhook.secret"


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, None),
        ({KIND: " "}, None),
        ({KIND: "none"}, Webhook(Kind.NONE, (), None)),
        ({KIND: " github ", SECRET: "new, old,new,"}, Webhook(Kind.GITHUB, ("new", "old"), None)),
        (
            {KIND: "stripe", SECRET: "a", "com.springtide.trigger.delivery": "sync"},
            Webhook(Kind.STRIPE, ("a",), DeliveryMode.SYNC),
        ),
    ],
)
def test_what_a_function_takes_is_in_its_annotations(annotations: dict[str, str], expected: Webhook | None) -> None:
    assert webhook_of(annotations) == expected


@pytest.mark.parametrize(
    ("annotations", "secrets", "told"),
    [
        ({KIND: "gitlab", SECRET: "a"}, ["a"], f"annotation {KIND}='gitlab': write one of github, stripe, slack"),
        ({KIND: "github"}, ["a"], f"annotation {KIND}='github': whose secret signs is not said; add {SECRET}"),
        ({KIND: "github", SECRET: "a"}, [], f"annotation {SECRET}='a': the function does not name a; add it to its"),
        ({KIND: "github", SECRET: "a,b,c"}, ["a", "b", "c"], f"annotation {SECRET}='a,b,c': name at most 2"),
        ({KIND: "none", SECRET: "a"}, ["a"], f"annotation {SECRET}='a': {KIND}=none checks nothing; leave the secret"),
        ({SECRET: "a"}, ["a"], f"annotation {SECRET}='a': there is no {KIND} beside it; add it"),
        (
            {KIND: "github", SECRET: "a", f"{KIND}.secrt": "b"},
            ["a"],
            f"annotation {KIND}.secrt: not known; is it {SECRET}?",
        ),
        (
            {"com.springtide.trigger.delivery": "x"},
            [],
            "annotation com.springtide.trigger.delivery: 'x' is neither sync nor async",
        ),
    ],
)
def test_what_is_wrong_is_told_with_key_value_and_remedy(
    annotations: dict[str, str], secrets: list[str], told: str
) -> None:
    (problem,) = problems_of(annotations, secrets)

    assert problem.startswith(told)
    with pytest.raises(BadInput):
        webhook_of(annotations, secrets)


def test_a_wrong_value_is_not_repeated_without_end() -> None:
    (problem,) = problems_of({KIND: "x" * 10_000}, [])

    assert len(problem) < 300
