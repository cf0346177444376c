from __future__ import annotations

from typing import Any

import pytest

from springtide.provider.kubernetes.views import how_it_ended, pod_view
from tests.provider.kubernetes.cluster_objects import pod


def waiting(reason: str, message: str = "", **more: Any) -> list[dict[str, Any]]:
    return [{"name": "echo", "state": {"waiting": {"reason": reason, "message": message}}, **more}]


@pytest.mark.parametrize(
    ("statuses", "problem"),
    [
        pytest.param(waiting("ContainerCreating"), None, id="an ordinary start"),
        pytest.param(waiting("ImagePullBackOff", "no such image"), "ImagePullBackOff: no such image", id="no image"),
        pytest.param([], None, id="not on a node yet"),
        pytest.param(
            [{"name": "sidecar", "state": {"waiting": {"reason": "ErrImagePull"}}}, *waiting("")],
            None,
            id="a sidecar's trouble",
        ),
    ],
)
def test_pod_says_why_it_does_not_start(statuses: list[dict[str, Any]], problem: str | None) -> None:
    assert pod_view(pod("a", ready=False, statuses=statuses)).problem == problem


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        pytest.param(
            waiting("CrashLoopBackOff", "back-off 10s", restartCount=3, lastState={"terminated": {"exitCode": 2}}),
            "its container exited with 2, 3 restarts (CrashLoopBackOff)",
            id="a crash",
        ),
        pytest.param(
            waiting("CrashLoopBackOff", restartCount=1, lastState={"terminated": {"reason": "OOMKilled"}}),
            "its container ran out of memory, 1 restarts (CrashLoopBackOff)",
            id="too little memory",
        ),
        pytest.param(waiting("ContainerCreating"), None, id="nothing ended yet"),
    ],
)
def test_pod_says_how_its_last_run_ended(statuses: list[dict[str, Any]], words: str | None) -> None:
    assert how_it_ended(pod_view(pod("a", ready=False, statuses=statuses)), None) == words


def test_pod_without_a_node_is_unschedulable_which_is_no_problem_of_its_own() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}

    seen = pod_view(pod("a", ready=False, ip="", statuses=[], conditions=[condition]))

    assert (seen.problem, seen.unschedulable) == (None, "no node takes it: 0/3 nodes")


@pytest.mark.parametrize(
    ("changes", "terminating"),
    [
        pytest.param({}, False, id="running"),
        pytest.param({"deleting": True}, True, id="deleted"),
        pytest.param({"phase": "Failed"}, True, id="evicted"),
        pytest.param({"phase": "Succeeded"}, True, id="ended"),
    ],
)
def test_pod_is_terminating_when(changes: dict[str, Any], terminating: bool) -> None:
    assert pod_view(pod("a", **changes)).terminating is terminating


def test_pod_with_a_nonsense_deletion_cost_costs_nothing() -> None:
    assert pod_view(pod("a", cost="dear")).deletion_cost == 0
