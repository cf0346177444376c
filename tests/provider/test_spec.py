from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.provider.spec import (
    NAME,
    FunctionSpec,
    FunctionStatus,
    Usage,
    check_name,
    check_namespace,
    rfc3339,
    spec_from_json,
    spec_to_json,
    status_to_json,
)
from springtide.runtime.errors import BadInput
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, Function, FunctionRef, Instant, Scale

ECHO = FunctionRef(DEFAULT_NAMESPACE, "echo")
MINIMAL = {"service": "echo", "image": "x"}
OPTIONAL = (
    "namespace",
    "envProcess",
    "envVars",
    "constraints",
    "secrets",
    "labels",
    "annotations",
    "limits",
    "requests",
    "readOnlyRootFilesystem",
    "network",
    "registryAuth",
)


def status(spec: FunctionSpec, scale: Scale, **more: Any) -> FunctionStatus:
    return FunctionStatus(spec=spec, function=Function(spec.ref, scale, {"faas_function": spec.ref.name}), **more)


def problems(value: object) -> list[str]:
    with pytest.raises(BadInput) as caught:
        spec_from_json(value)
    return str(caught.value).splitlines()


def test_minimal_deployment_is_all_defaults() -> None:
    assert spec_from_json(MINIMAL) == FunctionSpec(ref=ECHO, image="x")


def test_namespace_of_the_deployment_wins_over_the_default_given() -> None:
    assert spec_from_json(MINIMAL, default_namespace="dev").ref == FunctionRef("dev", "echo")
    assert spec_from_json(MINIMAL | {"namespace": "prod"}, default_namespace="dev").ref == FunctionRef("prod", "echo")


def test_null_is_the_same_as_missing_and_unknown_keys_are_ignored() -> None:
    nulls = dict.fromkeys(OPTIONAL)

    assert spec_from_json(MINIMAL | nulls | {"network": "func", "extra": [1]}) == spec_from_json(MINIMAL)


texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0="), min_size=1, max_size=8)
mappings = st.dictionaries(texts, texts, max_size=3)
names = st.from_regex(NAME, fullmatch=True).filter(str.isascii)
specs = st.builds(
    FunctionSpec,
    ref=st.builds(FunctionRef, names, names),
    image=texts,
    env_process=texts | st.just(""),
    env_vars=mappings,
    constraints=st.lists(texts, max_size=2).map(tuple),
    secrets=st.lists(texts, max_size=2).map(tuple),
    labels=mappings,
    annotations=mappings,
    limits=mappings,
    requests=mappings,
    read_only_root_filesystem=st.booleans(),
)


@given(specs)
def test_spec_survives_the_wire(spec: FunctionSpec) -> None:
    assert spec_from_json(spec_to_json(spec)) == spec


keys = st.text() | st.sampled_from(["service", "image", "labels", "envVars"])
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(keys, inner)
)


@given(any_json)
def test_any_json_is_either_a_spec_or_bad_input(value: Any) -> None:
    try:
        spec = spec_from_json(value)
    except BadInput:
        return
    assert spec == spec_from_json(spec_to_json(spec))


@pytest.mark.parametrize("value", [None, [], "echo", 5])
def test_deployment_that_is_no_object_is_refused(value: object) -> None:
    assert problems(value) == ["the body must be a JSON object describing a function"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        pytest.param({"service": None}, "service", id="no name"),
        pytest.param({"service": "a" * 64}, "service", id="name too long"),
        pytest.param({"service": 5}, "service", id="name that is no text"),
        pytest.param({"namespace": "No"}, "namespace", id="bad namespace"),
        pytest.param({"image": ""}, "image", id="no image"),
        pytest.param({"envVars": {"a": 1}}, "envVars", id="variable that is no text"),
        pytest.param({"envVars": ["a"]}, "envVars", id="variables that are a list"),
        pytest.param({"envVars": {"a=b": "c"}}, "'a=b'", id="variable that no environment can hold"),
        pytest.param({"envVars": {"": "c"}}, "envVars", id="variable without a name"),
        pytest.param({"envVars": {"a": "\0"}}, "NUL", id="value that no process can be given"),
        pytest.param({"envProcess": "cat\0"}, "NUL", id="command that no process can be given"),
        pytest.param({"secrets": "token"}, "secrets", id="secrets that are no list"),
        pytest.param({"secrets": [1]}, "secrets", id="secret that is no text"),
        pytest.param({"constraints": {}}, "constraints", id="constraints that are no list"),
        pytest.param({"readOnlyRootFilesystem": "yes"}, "readOnlyRootFilesystem", id="flag that is no boolean"),
        pytest.param({"limits": {"memory": 5}}, "limits", id="limit that is no text"),
        pytest.param({"labels": {"com.openfaas.scale.min": "x"}}, "com.openfaas.scale.min", id="bad scaling label"),
    ],
)
def test_problem_names_the_key(change: dict[str, object], word: str) -> None:
    assert word in "\n".join(problems(MINIMAL | change))


@pytest.mark.parametrize(
    ("key", "text", "told"),
    [
        ("com.openfaas.ready.http.initialDelay", "99999999999h", "is longer than any duration"),
        ("com.openfaas.ready.http.initialDelay", "25h", "write at most 24h"),
        ("com.openfaas.health.http.initialDelaySeconds", "-1", "is not a duration"),
        ("com.openfaas.health.http.periodSeconds", "1e400", "is not a duration"),
        ("com.openfaas.ready.http.period", "0", "write at least 1 s"),
        ("com.openfaas.ready.http.timeoutSeconds", "9" * 5000, "is longer than any duration"),
        ("com.openfaas.ready.http.successThreshold", "99999", "write 1 to 10000"),
        ("com.openfaas.ready.http.failureThreshold", "9" * 5000, "write a whole number, 1 to 10000"),
        ("com.openfaas.ready.http.path", "ready", "write a path that starts with /"),
        ("com.openfaas.http.path", "ready", "write a path that starts with /"),
        ("com.openfaas.retry.attempts", "1e400", "write a whole number, 0 to 10000"),
        ("com.openfaas.retry.max_wait", "99999999999h", "is longer than any duration"),
        ("prometheus.io.port", "99999999", "write a whole number, 1 to 65535"),
        ("prometheus.io/port", "65536", "write 1 to 65535"),
    ],
)
def test_annotation_out_of_bounds_is_refused_when_deployed(key: str, text: str, told: str) -> None:
    value = {**MINIMAL, "annotations": {key: text}}

    with pytest.raises(BadInput) as caught:
        spec_from_json(value, deploying=True)

    assert str(caught.value).startswith(f"annotation {key}={text[:80]!r}: ")
    assert told in str(caught.value)
    assert len(str(caught.value)) < 300
    assert spec_from_json(value), "what is deployed already stays"


def test_annotation_within_bounds_is_taken() -> None:
    given = {
        "com.openfaas.ready.http.initialDelay": "24h",
        "com.openfaas.health.http.periodSeconds": "1",
        "com.openfaas.ready.http.path": " ",
        "com.openfaas.retry.attempts": "0",
        "prometheus.io.port": "8081",
        "topic": "99999999999h",
    }
    assert spec_from_json({**MINIMAL, "annotations": given}, deploying=True).annotations == given


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("com.openfaas.scale.min", "9" * 5000),
        ("com.openfaas.scale.factor", "9" * 5000),
        ("com.openfaas.scale.target", "1e300"),
        ("com.openfaas.scale.target", "1e400"),
        ("com.openfaas.scale.target", "1_000"),
        ("com.openfaas.scale.target", "٣"),
        ("com.openfaas.scale.target-proportion", "1e400"),
        ("com.openfaas.scale.zero-duration", "99999999999h"),
        ("com.openfaas.scale.down.window", "1h"),
        ("com.springtide.scale.cold-worth", "200h"),
        ("com.springtide.scale.cold-worth-rare", "1e9"),
        ("com.springtide.scale.zero-policy", "learned"),
        ("com.openfaas.scale.zero-duration", "x" * 5000),
    ],
)
def test_label_out_of_bounds_is_refused(key: str, text: str) -> None:
    with pytest.raises(BadInput) as caught:
        spec_from_json({**MINIMAL, "labels": {key: text}}, deploying=True)

    assert str(caught.value).startswith(f"{key}={text[:80]!r}: ")
    assert "write" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_all_problems_are_told_at_once() -> None:
    labels = {"com.openfaas.scale.max": "x"}

    found = problems({"service": "A", "namespace": "B", "envVars": 1, "secrets": 1, "labels": labels})

    assert len(found) == 6


def test_unset_is_absent_on_the_wire() -> None:
    assert spec_to_json(FunctionSpec(ref=ECHO, image="x")) == MINIMAL | {"namespace": DEFAULT_NAMESPACE}


@pytest.mark.parametrize(
    ("scale", "shown"),
    [
        pytest.param(Scale(3, 2, "1"), {"replicas": 3, "availableReplicas": 2}, id="both"),
        pytest.param(Scale(3, 0, "1"), {"replicas": 3}, id="none ready"),
        pytest.param(Scale(0, 0, "1"), {}, id="asleep"),
    ],
)
def test_counts_of_zero_are_absent(scale: Scale, shown: dict[str, int]) -> None:
    value = status_to_json(status(FunctionSpec(ref=ECHO, image="x"), scale))

    assert {key: value[key] for key in value if "eplicas" in key} == shown
    assert (value["labels"], value["annotations"]) == ({"faas_function": "echo"}, {})
    assert value["createdAt"] == "0001-01-01T00:00:00Z"


def test_usage_and_problem_are_shown_when_known() -> None:
    value = status_to_json(
        status(FunctionSpec(ref=ECHO, image="x"), Scale(1, 0, "1"), usage=Usage(1.5, 2048), problem="no such file")
    )

    assert value["usage"] == {"cpu": 1.5, "totalMemoryBytes": 2048}
    assert value["problem"] == "no such file"


@given(st.floats(0, 4_000_000_000))
def test_time_on_the_wire_is_never_later_than_it_was(instant: float) -> None:
    text = rfc3339(instant)

    read = Instant(datetime.fromisoformat(text).timestamp())
    assert text.endswith("Z")
    assert read <= instant
    assert instant - read < 2e-6


@pytest.mark.parametrize("name", ["a", "a" * 63, "0", "a-b", "a--b"])
def test_name_is_accepted(name: str) -> None:
    assert check_name("function", name) == name


@pytest.mark.parametrize("name", ["", "a" * 64, "-a", "a-", "A", "a.b", "a_b", "a/b", "..", "a\n", "ü", "٣"])
def test_name_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="function"):
        check_name("function", name)


@pytest.mark.parametrize(
    ("labels", "annotations", "accepted"),
    [
        ({"openfaas": "1"}, {}, True),
        ({}, {"openfaas": "true"}, True),
        ({"openfaas": "0"}, {"openfaas": "1"}, True),
        ({}, {}, False),
        ({"openfaas": "yes"}, {"openfaas": ""}, False),
    ],
)
def test_namespace_must_be_marked(labels: dict[str, str], annotations: dict[str, str], accepted: bool) -> None:
    if accepted:
        check_namespace("dev", labels, annotations)
    else:
        with pytest.raises(BadInput, match="openfaas=1"):
            check_namespace("dev", labels, annotations)


def test_misspelt_labels_are_refused_of_what_is_deployed_and_kept_of_what_is_read_back() -> None:
    value = MINIMAL | {"labels": {"com.openfaas.scale.zeroduration": "5m"}}

    assert spec_from_json(value).labels == {"com.openfaas.scale.zeroduration": "5m"}
    with pytest.raises(BadInput, match=r"is it com\.openfaas\.scale\.zero-duration\?"):
        spec_from_json(value, deploying=True)


def many(count: int) -> dict[str, str]:
    return {f"k{number}": "v" for number in range(count)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"envVars": {"a": "x" * 131_070}}, "envVars: 'a' is 131072 bytes", id="a variable"),
        pytest.param({"envVars": {"a": "ä" * 70_000}}, "envVars: 'a' is 140002 bytes", id="by bytes"),
        pytest.param({"envProcess": "x" * 131_071}, "envVars: 'fprocess'", id="the command"),
        pytest.param({"envVars": dict.fromkeys("abc", "x" * 100_000)}, "altogether, at most 262144", id="environment"),
        pytest.param({"image": "x" * 1_025}, "image: 1025 bytes", id="image"),
        pytest.param({"labels": many(257)}, "labels: 257 entries", id="labels"),
        pytest.param({"labels": {"a": "x" * 65_536}}, "labels: 65537 bytes", id="a label"),
        pytest.param({"annotations": {"a": "x" * 262_144}}, "annotations: 262145 bytes", id="an annotation"),
        pytest.param({"secrets": ["s"] * 257}, "secrets: 257", id="secrets"),
        pytest.param({"constraints": ["s=t"] * 257}, "constraints: 257", id="constraints"),
        pytest.param({"limits": many(257)}, "limits: 257", id="limits"),
    ],
)
def test_what_is_too_large_is_refused_and_kept_of_what_is_read_back(change: dict[str, object], words: str) -> None:
    spec_from_json(MINIMAL | change)

    with pytest.raises(BadInput) as refused:
        spec_from_json(MINIMAL | change, deploying=True)
    assert words in str(refused.value)
    assert len(str(refused.value)) < 500


def test_largest_is_accepted() -> None:
    change = {"envVars": {"a": "x" * 131_069, "b": "x" * 131_000}, "labels": many(256), "secrets": ["s"] * 256}

    spec_from_json(MINIMAL | change, deploying=True)


@pytest.mark.parametrize("key", ["envVars", "labels", "envProcess", "secrets", "readOnlyRootFilesystem"])
def test_problems_do_not_repeat_what_was_sent(key: str) -> None:
    found = problems(MINIMAL | {key: {"password": ["hunter2"], "other": "hunter2"}})

    assert found == [found[0]]
    assert "hunter2" not in found[0]
    assert "an object of a list, a string" in found[0]
