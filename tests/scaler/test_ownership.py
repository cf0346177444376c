from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from springtide.scaler.core import ownership
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import Reason, Writer

ORDINARY = ScalePolicy()
ON_HPA = ScalePolicy(type="cpu")
OPTED_IN = ScalePolicy(zero=True)
OPTED_IN_ON_HPA = ScalePolicy(zero=True, type="cpu")

# Every transition × every automatic writer × every kind of policy; None means "may write".
TABLE: dict[tuple[int, int], dict[Writer, tuple[Reason | None, ...]]] = {
    # (before, after): {writer: (ordinary, on an HPA, opted in, opted in on an HPA)}
    (0, 3): {
        Writer.ALERT: (Reason.ASLEEP,) * 4,
        Writer.SCALER: (Reason.ASLEEP,) * 4,
        Writer.HPA: (Reason.ASLEEP,) * 4,
        Writer.IDLER: (Reason.ASLEEP,) * 4,
        Writer.WAKE: (None,) * 4,
    },
    (3, 0): {
        Writer.ALERT: (Reason.NOT_OWNER,) * 4,
        Writer.SCALER: (Reason.NOT_OWNER,) * 4,
        Writer.HPA: (Reason.NOT_OWNER,) * 4,
        Writer.IDLER: (Reason.NOT_OPTED_IN, Reason.NOT_OPTED_IN, None, None),
        Writer.WAKE: (Reason.NOT_OWNER,) * 4,
    },
    (3, 5): {
        Writer.ALERT: (None, Reason.NOT_OWNER, None, Reason.NOT_OWNER),
        Writer.SCALER: (Reason.NOT_OWNER,) * 4,
        Writer.HPA: (Reason.NOT_OWNER, None, Reason.NOT_OWNER, None),
        Writer.IDLER: (Reason.NOT_OWNER,) * 4,
        Writer.WAKE: (Reason.NOT_OWNER,) * 4,
    },
    (5, 3): {
        Writer.ALERT: (None, Reason.NOT_OWNER, None, Reason.NOT_OWNER),
        Writer.SCALER: (Reason.NOT_OWNER,) * 4,
        Writer.HPA: (Reason.NOT_OWNER, None, Reason.NOT_OWNER, None),
        Writer.IDLER: (Reason.NOT_OWNER,) * 4,
        Writer.WAKE: (Reason.NOT_OWNER,) * 4,
    },
}
POLICIES = (ORDINARY, ON_HPA, OPTED_IN, OPTED_IN_ON_HPA)
NAMES = ("ordinary", "on an HPA", "opted in to zero", "opted in, on an HPA")

ROWS = [
    pytest.param(writer, policy, change, refusal, id=f"{writer} {change[0]} to {change[1]}, {name}")
    for change, by_writer in TABLE.items()
    for writer, refusals in by_writer.items()
    for policy, name, refusal in zip(POLICIES, NAMES, refusals, strict=True)
]


@pytest.mark.parametrize(("writer", "policy", "change", "refusal"), ROWS)
def test_each_transition_has_its_writers(
    writer: Writer, policy: ScalePolicy, change: tuple[int, int], refusal: Reason | None
) -> None:
    assert ownership.refusal(writer, policy, *change) is refusal


def test_the_table_leaves_no_writer_out() -> None:
    assert all(set(by_writer) | {Writer.PERSON} == set(Writer) for by_writer in TABLE.values())


@pytest.mark.parametrize("policy", POLICIES, ids=NAMES)
@pytest.mark.parametrize("change", TABLE)
def test_a_person_may_write_anything(policy: ScalePolicy, change: tuple[int, int]) -> None:
    assert ownership.refusal(Writer.PERSON, policy, *change) is None


@pytest.mark.parametrize("writer", Writer)
@pytest.mark.parametrize("count", [0, 1, 7])
def test_writing_the_same_count_is_nobodys_trespass(writer: Writer, count: int) -> None:
    assert ownership.refusal(writer, ORDINARY, count, count) is None


@settings(deadline=None)
@given(
    st.builds(ScalePolicy, zero=st.booleans(), type=st.sampled_from(["rps", "capacity", "cpu", "mine"])),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_no_two_automatic_writers_share_a_transition(policy: ScalePolicy, before: int, after: int) -> None:
    if before == after:
        return
    automatic = [writer for writer in Writer if writer is not Writer.PERSON]

    allowed = [writer for writer in automatic if ownership.refusal(writer, policy, before, after) is None]

    assert len(allowed) <= 1
