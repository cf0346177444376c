from __future__ import annotations

from typing import Any

import pytest

from springtide.provider.kubernetes.manifests.deployment import DesiredFunction, deployment_of
from springtide.provider.kubernetes.manifests.profiles import Profile, missing, names_of, profile_of
from springtide.provider.kubernetes.manifests.settings import ManifestSettings
from tests.provider.kubernetes.published_schemas import all_problems
from tests.provider.kubernetes.specs import spec

TOLERATION = {"key": "gpu", "operator": "Exists"}
WHOLE = Profile(
    "whole",
    {
        "tolerations": [TOLERATION],
        "runtimeClassName": "gvisor",
        "podSecurityContext": {"fsGroup": 1},
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
        ],
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["10.0.0.10"]},
        "resources": {"limits": {"memory": "64Mi", "cpu": 2}, "requests": {"cpu": "10m"}},
        "priorityClassName": "high",
        "strategy": {"type": "Recreate"},
    },
)


def deployed(*profiles: Profile, **changes: Any) -> dict[str, Any]:
    return deployment_of(DesiredFunction(spec=spec(**changes), rollout="1", profiles=profiles), ManifestSettings())


def test_profile_is_merged_into_the_pod() -> None:
    deployment = deployed(WHOLE, limits={"cpu": "1"})

    pod = deployment["spec"]["template"]["spec"]
    assert {key: pod[key] for key in ("tolerations", "runtimeClassName", "securityContext", "affinity")} == {
        "tolerations": [TOLERATION],
        "runtimeClassName": "gvisor",
        "securityContext": {"fsGroup": 1},
        "affinity": {"nodeAffinity": {}},
    }
    assert (pod["dnsPolicy"], pod["dnsConfig"]) == ("None", {"nameservers": ["10.0.0.10"]})
    assert (pod["priorityClassName"], len(pod["topologySpreadConstraints"])) == ("high", 1)
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    # What the function says itself wins.
    assert pod["containers"][0]["resources"] == {
        "limits": {"memory": "64Mi", "cpu": "1"},
        "requests": {"cpu": "10m"},
    }
    assert all_problems(deployment) == []


def test_later_profile_replaces_and_tolerations_add_up() -> None:
    other = Profile("other", {"tolerations": [{"key": "spot"}], "runtimeClassName": "kata"})

    pod = deployed(WHOLE, other)["spec"]["template"]["spec"]

    assert pod["runtimeClassName"] == "kata"
    assert pod["tolerations"] == [TOLERATION, {"key": "spot"}]
    assert WHOLE.spec["tolerations"] == [TOLERATION]


def test_without_its_profile_nothing_of_it_is_left() -> None:
    pod = deployed()["spec"]["template"]["spec"]

    assert not {"tolerations", "runtimeClassName", "securityContext", "affinity", "dnsConfig"} & pod.keys()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param("a", ("a",), id="one"),
        pytest.param(" b, a ,b,", ("b", "a"), id="several, in order, each once"),
        pytest.param("", (), id="none"),
    ],
)
def test_names_are_a_comma_list(text: str, names: tuple[str, ...]) -> None:
    assert names_of({"com.openfaas.profile": text}) == names


def test_missing_profiles_are_all_named() -> None:
    known = {"a": profile_of({"metadata": {"name": "a"}})}

    problems = missing({"com.openfaas.profile": "a,b,c"}, known, "openfaas")

    assert problems == [
        f"com.openfaas.profile: no profile {name} in openfaas; create it, or remove it from the annotation"
        for name in ("b", "c")
    ]
