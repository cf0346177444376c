"""Who may write replicas, and who owns a running function."""

from __future__ import annotations

import itertools

import pytest

from springtide.scaler.core import loads, ownership, policy
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.vocabulary import Reason, Writer

ORDINARY, OPTED_IN = ScalePolicy(), ScalePolicy(zero=True)
OWNERS = (Writer.ALERT, Writer.SCALER, Writer.HPA, None)
AUTOMATIC = [writer for writer in Writer if writer is not Writer.PERSON]

# Every move × every automatic writer × every owner; None means "may write".
TABLE: dict[tuple[int, int], dict[Writer, tuple[Reason | None, ...]]] = {
    # (before, after): {writer: (the alert path's, the scaler's, an HPA's, nobody's)}
    (0, 3): {
        Writer.ALERT: (Reason.ASLEEP,) * 4,
        Writer.SCALER: (Reason.ASLEEP,) * 4,
        Writer.HPA: (Reason.ASLEEP,) * 4,
        Writer.IDLER: (Reason.ASLEEP,) * 4,
        Writer.WAKE: (None,) * 4,
        Writer.PREWARM: (Reason.NOT_OPTED_IN,) * 4,
    },
    (3, 0): {
        Writer.ALERT: (Reason.NOT_OWNER,) * 4,
        Writer.SCALER: (Reason.NOT_OWNER,) * 4,
        Writer.HPA: (Reason.NOT_OWNER,) * 4,
        Writer.IDLER: (Reason.NOT_OPTED_IN,) * 4,
        Writer.WAKE: (Reason.NOT_OWNER,) * 4,
        Writer.PREWARM: (Reason.NOT_OWNER,) * 4,
    },
    (3, 5): {
        Writer.ALERT: (None, Reason.NOT_OWNER, Reason.NOT_OWNER, Reason.NOT_OWNER),
        Writer.SCALER: (Reason.NOT_OWNER, None, Reason.NOT_OWNER, Reason.NOT_OWNER),
        Writer.HPA: (Reason.NOT_OWNER, Reason.NOT_OWNER, None, Reason.NOT_OWNER),
        Writer.IDLER: (Reason.NOT_OWNER,) * 4,
        Writer.WAKE: (Reason.NOT_OWNER,) * 4,
        Writer.PREWARM: (Reason.NOT_OWNER,) * 4,
    },
}
TABLE[5, 3] = TABLE[3, 5]

ROWS = [
    pytest.param(writer, owner, change, refusal, id=f"{writer} {change[0]} to {change[1]}, of {owner}")
    for change, by_writer in TABLE.items()
    for writer, refusals in by_writer.items()
    for owner, refusal in zip(OWNERS, refusals, strict=True)
]


@pytest.mark.parametrize(("writer", "owner", "change", "refusal"), ROWS)
def test_each_move_has_its_writers(
    writer: Writer, owner: Writer | None, change: tuple[int, int], refusal: Reason | None
) -> None:
    assert ownership.refusal(writer, ORDINARY, *change, owner=owner) is refusal


def test_the_table_leaves_no_writer_out() -> None:
    assert all(set(by_writer) | {Writer.PERSON} == set(Writer) for by_writer in TABLE.values())


@pytest.mark.parametrize("owner", OWNERS)
def test_idler_takes_to_zero_what_opted_in_whoever_owns_it(owner: Writer | None) -> None:
    assert ownership.refusal(Writer.IDLER, OPTED_IN, 3, 0, owner=owner) is None


@pytest.mark.parametrize("owner", OWNERS)
def test_prewarm_wakes_what_opted_in_whoever_owns_it(owner: Writer | None) -> None:
    assert ownership.refusal(Writer.PREWARM, OPTED_IN, 0, 3, owner=owner) is None


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("change", TABLE)
def test_a_person_may_write_anything(owner: Writer | None, change: tuple[int, int]) -> None:
    assert ownership.refusal(Writer.PERSON, ORDINARY, *change, owner=owner) is None


@pytest.mark.parametrize("writer", Writer)
@pytest.mark.parametrize("count", [0, 1, 7])
def test_writing_the_same_count_is_nobodys_trespass(writer: Writer, count: int) -> None:
    assert ownership.refusal(writer, ORDINARY, count, count, owner=None) is None


ALONE, WITH_HPA = Scalers(), Scalers(hpa=True)
LOOP, LOOP_AND_HPA = Scalers(loop=True), Scalers(hpa=True, loop=True)
DEFAULT, DEFAULT_AND_HPA = Scalers(loop=True, loop_default=True), Scalers(hpa=True, loop=True, loop_default=True)
PLACES = (ALONE, WITH_HPA, LOOP, LOOP_AND_HPA, DEFAULT, DEFAULT_AND_HPA)
ALERT, SCALER, HPA = Writer.ALERT, Writer.SCALER, Writer.HPA


@pytest.mark.parametrize(
    ("labels", "owners"),
    [
        # owners: one machine, Kubernetes; the same with the loop; the same with the loop as default.
        pytest.param({}, (ALERT, ALERT, ALERT, ALERT, SCALER, SCALER), id="nothing said"),
        pytest.param({policy.TARGET: "5"}, (ALERT, ALERT, *(SCALER,) * 4), id="a target"),
        pytest.param({policy.TYPE: "rps"}, (ALERT, ALERT, *(SCALER,) * 4), id="calls a second"),
        pytest.param({policy.TYPE: "capacity"}, (ALERT, ALERT, *(SCALER,) * 4), id="calls in flight"),
        pytest.param({policy.TYPE: "lag"}, (ALERT, ALERT, *(SCALER,) * 4), id="a type of the user's own"),
        pytest.param({policy.TARGET: "none"}, (ALERT, ALERT, ALERT, ALERT, SCALER, SCALER), id="a target that is none"),
        pytest.param({policy.TYPE: "cpu"}, (HPA, HPA, SCALER, HPA, SCALER, HPA), id="processor time"),
        pytest.param({policy.FACTOR: "0"}, (ALERT, ALERT, ALERT, ALERT, SCALER, SCALER), id="alerts silenced"),
        pytest.param({policy.MIN: "3", policy.MAX: "3", policy.TARGET: "5"}, (None,) * 6, id="a fixed size"),
        pytest.param({policy.OWNER: "alerts", policy.TYPE: "cpu"}, (ALERT,) * 6, id="the alert path by label"),
        pytest.param({policy.OWNER: "scaler", policy.TYPE: "cpu"}, (SCALER,) * 6, id="the scaler by label"),
        pytest.param({policy.OWNER: "hpa", policy.TYPE: "cpu"}, (HPA,) * 6, id="an HPA by label"),
        pytest.param({policy.OWNER: "none", policy.TARGET: "5"}, (None,) * 6, id="nobody by label"),
        pytest.param({policy.OWNER: "me"}, (ALERT, ALERT, ALERT, ALERT, SCALER, SCALER), id="a label that is wrong"),
    ],
)
def test_owner_of_a_running_function(labels: dict[str, str], owners: tuple[Writer | None, ...]) -> None:
    assert tuple(ownership.owner_by_labels(labels, scalers) for scalers in PLACES) == owners
    assert tuple(ownership.steady_owner(ScalePolicy.from_labels(labels)[0], scalers) for scalers in PLACES) == owners


LABELS = {
    policy.OWNER: (None, "alerts", "scaler", "hpa", "none", "wrong"),
    policy.TYPE: (None, "rps", "capacity", "cpu", "queue", "mine"),
    policy.TARGET: (None, "10", "500m"),
    policy.ZERO: (None, "true"),
    policy.FACTOR: (None, "0"),
    policy.MIN: (None, "20"),
}
COMBINATIONS = [
    {key: value for key, value in zip(LABELS, values, strict=True) if value is not None}
    for values in itertools.product(*LABELS.values())
]


@pytest.mark.parametrize("scalers", PLACES, ids=repr)
def test_every_move_but_a_wake_has_at_most_one_automatic_writer_for_all_labels(scalers: Scalers) -> None:
    for labels in COMBINATIONS:
        asked = ScalePolicy.from_labels(labels)[0]
        owner = ownership.steady_owner(asked, scalers)
        for before, after in itertools.permutations((0, 1, 3, 20), 2):
            may = [
                writer for writer in AUTOMATIC if ownership.refusal(writer, asked, before, after, owner=owner) is None
            ]
            if before == 0:
                assert may == [Writer.WAKE, *([Writer.PREWARM] if asked.zero else [])], (labels, before, after)
                continue
            expected = (Writer.IDLER if asked.zero else None) if after == 0 else owner
            assert may == ([] if expected is None else [expected]), (labels, before, after)


@pytest.mark.parametrize("scalers", [WITH_HPA, LOOP_AND_HPA, DEFAULT_AND_HPA], ids=repr)
def test_an_hpa_is_made_where_an_hpa_owns_the_function(scalers: Scalers) -> None:
    for labels in COMBINATIONS:
        asked = ScalePolicy.from_labels(labels)[0]
        assert asked.on_hpa == (ownership.steady_owner(asked, scalers) is Writer.HPA), labels


@pytest.mark.parametrize(
    ("labels", "annotations", "scalers", "word"),
    [
        pytest.param(
            {policy.OWNER: "hpa", policy.TYPE: "cpu"}, {}, ALONE, "only on Kubernetes; write alerts", id="no HPA here"
        ),
        pytest.param(
            {policy.OWNER: "hpa", policy.TYPE: "cpu", policy.TARGET: "500m"},
            {},
            LOOP,
            "only on Kubernetes; write scaler",
            id="no HPA, but the loop",
        ),
        pytest.param({policy.OWNER: "scaler"}, {}, WITH_HPA, "setting scaler", id="no loop here"),
        pytest.param(
            {policy.OWNER: "scaler", policy.TYPE: "cpu", policy.TARGET: "80"}, {}, LOOP_AND_HPA, "500m", id="percent"
        ),
        pytest.param({policy.TYPE: "cpu", policy.TARGET: "80"}, {}, LOOP, "500m", id="percent where there is no HPA"),
        pytest.param({}, {loads.ALSO: "cpu=80"}, ALONE, "500m", id="percent beside, before there is a loop"),
        pytest.param({}, {loads.QUERY: "up"}, ALONE, "a type of your own", id="a query for nothing"),
    ],
)
def test_deployment_that_cannot_be_scaled_as_asked_is_refused(
    labels: dict[str, str], annotations: dict[str, str], scalers: Scalers, word: str
) -> None:
    (problem,) = ownership.problems_of(labels, annotations, scalers)

    assert word in problem


@pytest.mark.parametrize("scalers", PLACES, ids=repr)
@pytest.mark.parametrize("labels", [{}, {policy.TARGET: "5"}, {policy.OWNER: "none", policy.TYPE: "cpu"}], ids=repr)
def test_deployment_that_can_be_scaled_is_not_refused(labels: dict[str, str], scalers: Scalers) -> None:
    assert ownership.problems_of(labels, {}, scalers) == ()


def test_processor_time_in_percent_is_an_hpas_where_there_is_one() -> None:
    assert ownership.problems_of({policy.TYPE: "cpu", policy.TARGET: "80"}, {}, DEFAULT_AND_HPA) == ()
    assert ownership.problems_of({policy.TYPE: "cpu", policy.TARGET: "80"}, {}, ALONE) == ()


def test_an_hpa_for_anything_but_processor_time_is_a_problem_of_its_label() -> None:
    asked, (problem,) = ScalePolicy.from_labels({policy.OWNER: "hpa", policy.TYPE: "rps"})

    assert asked.owner is None
    assert f"write {policy.TYPE}=cpu" in problem
