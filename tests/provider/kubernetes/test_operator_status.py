"""What a Function object is told about itself."""

from __future__ import annotations

from typing import Any

import pytest

from springtide.provider.kubernetes.operator.status import RETRYING, Problem, status_of

NOW, BEFORE = "2024-05-01T10:00:00Z", "2024-04-01T10:00:00Z"


def deployment(desired: int = 2, **counts: Any) -> dict[str, Any]:
    status = {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2, "observedGeneration": 1} | counts
    return {
        "metadata": {"generation": 1},
        "spec": {"replicas": desired, "selector": {"matchLabels": {"faas_function": "echo", "app": "x"}}},
        "status": status,
    }


def told(there: dict[str, Any] | None, problem: Problem | None = None, **function: Any) -> dict[str, Any]:
    value = {"metadata": {"generation": 7}} | function
    return status_of(value, there, problem, profiles=["gpu"], rollout="r", now=NOW)


def verdicts(status: dict[str, Any]) -> dict[str, str]:
    return {item["type"]: f"{item['status']} {item['reason']}" for item in status["conditions"]}


REFUSED = Problem("Refused", "no", stalled=True)
AGAIN = Problem(RETRYING, "later", stalled=False)


@pytest.mark.parametrize(
    ("there", "problem", "ready", "healthy", "reconciling", "stalled"),
    [
        pytest.param(
            deployment(), None, "True Available", "True AllAvailable", "False UpToDate", "False Progressing", id="good"
        ),
        pytest.param(
            deployment(0, replicas=0, updatedReplicas=0, availableReplicas=0),
            None,
            *("True Asleep", "True AllAvailable", "False UpToDate", "False Progressing"),
            id="asleep",
        ),
        pytest.param(
            deployment(availableReplicas=1),
            None,
            *("True Available", "False SomeUnavailable", "False UpToDate", "False Progressing"),
            id="one is missing",
        ),
        pytest.param(
            deployment(replicas=3, updatedReplicas=1),
            None,
            *("True Available", "True AllAvailable", "True RollingOut", "False Progressing"),
            id="rolling",
        ),
        pytest.param(
            deployment(observedGeneration=0),
            None,
            *("True Available", "True AllAvailable", "True RollingOut", "False Progressing"),
            id="not seen by its controller",
        ),
        pytest.param(
            deployment(
                availableReplicas=0,
                conditions=[{"type": "Progressing", "status": "False", "reason": "DeadlineExceeded", "message": "m"}],
            ),
            None,
            *("False Unavailable", "False SomeUnavailable", "False UpToDate", "True DeploymentStuck"),
            id="stuck",
        ),
        pytest.param(
            None,
            None,
            "False NoDeployment",
            "False SomeUnavailable",
            "True NoDeployment",
            "False Progressing",
            id="none",
        ),
        pytest.param(
            deployment(), REFUSED, "False Refused", "True AllAvailable", "False Stalled", "True Refused", id="refused"
        ),
        pytest.param(
            deployment(), AGAIN, "False Retrying", "True AllAvailable", "True Retrying", "False Progressing", id="again"
        ),
    ],
)
def test_conditions_say_how_it_is(
    there: Any, problem: Problem | None, ready: str, healthy: str, reconciling: str, stalled: str
) -> None:
    assert verdicts(told(there, problem)) == {
        "Ready": ready,
        "Healthy": healthy,
        "Reconciling": reconciling,
        "Stalled": stalled,
    }


def test_counts_are_the_deployments() -> None:
    status = told(deployment(desired=3, replicas=3, availableReplicas=1))

    del status["conditions"]
    assert status == {
        "observedGeneration": 7,
        "observedRollout": "r",
        "replicas": 3,
        "availableReplicas": 1,
        "unavailableReplicas": 2,
        "labelSelector": "app=x,faas_function=echo",
        "profiles": ["gpu"],
    }


def test_transition_time_moves_only_with_the_status() -> None:
    known = [
        {"type": "Ready", "status": "True", "lastTransitionTime": BEFORE, "reason": "Asleep", "message": ""},
        {"type": "Healthy", "status": "False", "lastTransitionTime": BEFORE, "reason": "X", "message": ""},
    ]

    status = told(deployment(), status={"conditions": known})

    times = {item["type"]: item["lastTransitionTime"] for item in status["conditions"]}
    assert times == {"Ready": BEFORE, "Healthy": NOW, "Reconciling": NOW, "Stalled": NOW}


def test_long_message_is_cut() -> None:
    status = told(None, Problem("Refused", "x" * 100_000, stalled=True))

    assert max(len(item["message"]) for item in status["conditions"]) == 2000
