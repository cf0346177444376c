"""What each scaling type is."""

from __future__ import annotations

import pytest

from springtide.scaler.core import ownership, targets
from springtide.scaler.core.ownership import Scalers
from springtide.scaler.core.policy import ScalePolicy
from springtide.scaler.core.targets import Unit
from springtide.scaler.core.vocabulary import Writer


@pytest.mark.parametrize(
    ("name", "owner", "unit", "limit", "measured"),
    [
        pytest.param("rps", Writer.ALERT, Unit.CALLS_PER_SECOND, 0, True, id="rps"),
        pytest.param("capacity", Writer.ALERT, Unit.CALLS_IN_FLIGHT, 7, True, id="capacity"),
        pytest.param("cpu", Writer.HPA, Unit.CPU_PERCENT, 0, True, id="cpu"),
        pytest.param("queue", Writer.ALERT, Unit.MESSAGES, 0, False, id="queue"),
        pytest.param("gpu-memory", Writer.ALERT, Unit.OWN, 0, False, id="a name of the user's own"),
    ],
)
def test_each_type_has_an_owner_a_unit_a_limit_and_a_measurement(
    name: str, owner: Writer, unit: Unit, limit: int, measured: bool
) -> None:
    policy = ScalePolicy(type=name, target=7.5)

    assert ownership.steady_owner(policy, Scalers(hpa=True)) is owner
    assert policy.unit is unit
    assert policy.concurrency_limit == limit
    assert (policy.target_type.measured_by is not None) is measured


def test_names_are_unique_and_the_default_is_one_of_them() -> None:
    names = [row.name for row in targets.KNOWN]

    assert len(set(names)) == len(names)
    assert targets.DEFAULT in targets.KNOWN


@pytest.mark.parametrize("row", targets.KNOWN, ids=lambda row: row.name)
def test_owner_of_every_type_may_write_its_functions(row: targets.TargetType) -> None:
    asked = ScalePolicy(type=row.name)

    owner = ownership.steady_owner(asked, Scalers(hpa=True))

    assert owner is row.owner
    assert ownership.refusal(row.owner, asked, 2, 3, owner=owner) is None
