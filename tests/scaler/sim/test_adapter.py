"""The adapter for other people's simulators runs what production runs."""

from __future__ import annotations

import pytest

from springtide.scaler.core.demand import LoadSample
from springtide.scaler.core.follow import Bounds
from springtide.scaler.core.vocabulary import Instant, Reason
from springtide.scaler.sim.adapter import Springtide, labels_of


def ask(decider: Springtide, second: int, rate: float, *, wanted: int, age_s: float = 0.5) -> int:
    sample = LoadSample(Instant(second - age_s), rate * second, rate * second, rate, 0)
    return decider.wanted(sample, wanted=wanted, ready=wanted, now=second)


def test_its_docstrings_example_grows_to_the_load() -> None:
    decider, wanted = Springtide({"com.openfaas.scale.type": "capacity", "com.openfaas.scale.target": "1"}), 1
    for second in range(1, 30):
        wanted = ask(decider, second, 8.0, wanted=wanted)
    assert 9 <= wanted <= 13
    assert decider.decision is not None
    assert decider.decision.inputs["load"] == 8


def test_it_stays_on_old_samples() -> None:
    decider = Springtide(labels_of(Bounds(1, 50, 1.0)))
    for second in range(1, 60):
        assert ask(decider, second, 18.0, wanted=20) >= 20
    for second in range(60, 300):
        assert ask(decider, second, 0.0, wanted=20, age_s=30) == 20
    assert decider.decision is not None
    assert decider.decision.reason is Reason.STALE_DATA


def test_labels_say_the_rule() -> None:
    decider, wanted = Springtide({"com.openfaas.scale.target": "5", "com.springtide.scale.policy": "target"}), 1
    for second in range(1, 60):
        wanted = ask(decider, second, 15.0, wanted=wanted)
    assert wanted == 4  # ceil(15 / (5 × 0.9))


@pytest.mark.parametrize("labels", [{"com.openfaas.scale.max": "many"}, {"com.openfaas.scale.type": "queue"}])
def test_what_it_cannot_follow_it_refuses(labels: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(labels))):
        Springtide(labels)
