"""Which label names are refused at deploy time, and which legal ones are told to have no effect."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from springtide.scaler.core import label_names
from springtide.scaler.core.label_names import edit_distance
from springtide.scaler.core.vocabulary import Writer

SCALE = "com.openfaas.scale."


@pytest.mark.parametrize(
    ("key", "near"),
    [
        pytest.param(
            "com.springtide.scale.cold-wroth", "com.springtide.scale.cold-worth", id="letters swapped in ours"
        ),
        pytest.param(f"{SCALE}zero-policy", "com.springtide.scale.zero-policy", id="the wrong prefix"),
        pytest.param(f"{SCALE}zeroduration", f"{SCALE}zero-duration", id="a hyphen left out"),
        pytest.param(f"{SCALE}scale-max", f"{SCALE}max", id="a word too many"),
        pytest.param(f"{SCALE}type ", f"{SCALE}type", id="a blank behind it"),
        pytest.param(f"{SCALE}Min", f"{SCALE}min", id="a capital letter"),
        pytest.param(f"{SCALE}down-window", f"{SCALE}down.window", id="a hyphen for a dot"),
        pytest.param(f"{SCALE}mode", f"{SCALE}type", id="mode for type, seen in the wild"),
        pytest.param("com.openfaas.min.scale", f"{SCALE}min", id="words in another order, as in OpenFaaS's docs"),
        pytest.param("com.openfaaas.scale.max", f"{SCALE}max", id="a slip in the prefix, as in OpenFaaS's docs"),
        pytest.param(f"{SCALE}fact", f"{SCALE}factor", id="unknown, and not very near to anything"),
        pytest.param(
            "com.springtide.scale.step-intervals", "com.springtide.scale.step-interval", id="one of Springtide's own"
        ),
    ],
)
def test_misspelt_name_is_told_with_its_value_and_the_nearest_known(key: str, near: str) -> None:
    (problem,) = label_names.problems_of({key: "5m"})

    assert problem.startswith(f"{key}='5m': no such label")
    assert near in problem


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(
            dict.fromkeys((f"{SCALE}{name}" for name in ("min", "max", "factor", "zero", "zero-duration")), "1"),
            id="of the free edition and of the idler",
        ),
        pytest.param(
            dict.fromkeys((f"{SCALE}{name}" for name in ("target", "target-proportion", "down.window")), "1"),
            id="of the paid edition",
        ),
        pytest.param(
            dict.fromkeys(("com.springtide.scale.down", "com.springtide.scale.step-interval"), "x"),
            id="of Springtide",
        ),
        pytest.param({"com.springtide.demo": "true"}, id="of the demo"),
        pytest.param({"app": "x", "com.openfaas.scale": "1", "com.example.scale.min": "2"}, id="of nobody we know"),
        *(
            pytest.param({f"{SCALE}type": kind}, id=f"type {kind}")
            for kind in ("rps", "capacity", "cpu", "queue", "gpu", "rpm", "qps", "my_queue", "concurrency")
        ),
    ],
)
def test_legal_name_is_accepted(labels: dict[str, str]) -> None:
    assert label_names.problems_of(labels) == ()


@pytest.mark.parametrize(
    ("kind", "near"),
    [("rsp", "rps"), ("RPS", "rps"), ("cpus", "cpu"), ("queues", "queue"), ("capasity", "capacity"), ("que", "queue")],
)
def test_type_that_is_nearly_a_known_one_is_told_with_it(kind: str, near: str) -> None:
    (problem,) = label_names.problems_of({f"{SCALE}type": kind})

    assert problem.startswith(f"{SCALE}type={kind!r}: is it {near}?")


@pytest.mark.parametrize(
    "key", ["com.openfaas.health.http.path", "com.openfaas.profile", "com.springtide.handler", "com.springtide.lang"]
)
def test_annotation_written_as_a_label_is_told(key: str) -> None:
    assert label_names.problems_of({key: "/ready"}) == (f"{key}='/ready': read from annotations only; write it there",)


@pytest.mark.parametrize("key", [" com.openfaas.health.http.path", "com.openfaas.profile "])
def test_annotation_with_a_blank_written_as_a_label_is_told(key: str) -> None:
    (problem,) = label_names.problems_of({key: "x"})

    assert problem.endswith("read from annotations only; write it there")


@pytest.mark.parametrize(
    "key", [f"{SCALE}max ", f" {SCALE}max", f"{SCALE}max\n", f"{SCALE}mas", "com.openfaas.scle.max"]
)
def test_name_is_told_with_the_nearest_of_all_that_are_known(key: str) -> None:
    (problem,) = label_names.problems_of({key: "1"})

    assert problem.endswith(f"no such label; is it {SCALE}max?")


@pytest.mark.parametrize("key", [f"{SCALE}max", f"{SCALE}zero ", f"{SCALE}anything", "com.springtide.scale.down"])
def test_label_written_as_an_annotation_is_told(key: str) -> None:
    (problem,) = label_names.annotation_problems({key: "1", "topic": "x", "com.openfaas.profile": "y"})

    assert problem == f"annotation {key}='1': read from labels only; write it there"


@pytest.mark.parametrize("key", ["topic", "schedule", "prometheus.io.scrape"])
def test_annotation_of_a_connector_as_a_label_is_legal_and_told(key: str) -> None:
    assert label_names.problems_of({key: "x"}) == ()
    assert label_names.without_effect({key: "x"}, Writer.ALERT) == (
        f"{key}: read from annotations only; write it there",
    )


def test_every_problem_is_told_at_once() -> None:
    labels = {f"{SCALE}zeroduration": "5m", f"{SCALE}scale-max": "1", f"{SCALE}type": "rsp", f"{SCALE}min": "1"}

    assert len(label_names.problems_of(labels)) == 3


@pytest.mark.parametrize(
    ("owner", "labels", "words"),
    [
        pytest.param(
            Writer.ALERT,
            {"type": "queue", "target": "5"},
            ["messages waiting are not measured yet", "target: not"],
            id="queue",
        ),
        pytest.param(
            Writer.ALERT, {"type": "mine"}, ["type=mine: its load is not measured yet"], id="a type of the user's own"
        ),
        pytest.param(
            Writer.ALERT, {"target": "5"}, ["one alert rule serves all functions"], id="a target of calls a second"
        ),
        pytest.param(Writer.ALERT, {"type": "capacity", "target": "5"}, [], id="a target of capacity is used"),
        pytest.param(
            Writer.HPA, {"type": "cpu", "target": "5", "down.window": "1m"}, [], id="a target of an HPA's, too"
        ),
        pytest.param(
            Writer.ALERT,
            {"type": "cpu", "target": "5"},
            ["target: not used; the alert path owns the replicas"],
            id="a target of processor time without an HPA",
        ),
        pytest.param(Writer.ALERT, {"target-proportion": "0.7"}, ["target-proportion: not used"], id="a proportion"),
        pytest.param(Writer.ALERT, {"down.window": "1m"}, ["down.window: used by type cpu only"], id="a window"),
        *(
            pytest.param(Writer.SCALER, {"type": kind, "target": "5"}, [], id=f"the scaler uses a target of {kind}")
            for kind in ("rps", "capacity", "queue", "mine")
        ),
        pytest.param(
            Writer.SCALER, {"target-proportion": "0.7", "down.window": "1m"}, [], id="the scaler's formula uses both"
        ),
        pytest.param(
            Writer.SCALER,
            {"springtide.policy": "queueing", "target-proportion": "0.7", "down.window": "1m"},
            ["target-proportion: not used; com.springtide.scale.policy is queueing", "down.window: not used"],
            id="the scaler by queueing uses neither",
        ),
        pytest.param(
            Writer.SCALER,
            {"springtide.down": "min", "springtide.step-interval": "5s", "springtide.wake": "min"},
            ["scale.down: not used; the scaler owns the replicas", "step-interval: not used"],
            id="the scaler makes no steps",
        ),
        pytest.param(
            Writer.ALERT,
            {"springtide.policy": "target", "springtide.wake": "learned", "springtide.down": "min"},
            ["policy: not used; the alert path owns the replicas", "wake: not used"],
            id="alerts have no policy",
        ),
        pytest.param(
            Writer.ALERT,
            {"springtide.cold-worth": "15m", "springtide.cold-worth-rare": "1"},
            ["cold-worth: not used; it never sleeps without com.openfaas.scale.zero=true", "cold-worth-rare: not used"],
            id="prices where nothing sleeps",
        ),
        pytest.param(
            Writer.ALERT,
            {"zero": "true", "springtide.zero-policy": "fixed", "springtide.cold-worth": "15m"},
            ["cold-worth: not used; com.springtide.scale.zero-policy is fixed"],
            id="a price where nothing is learned",
        ),
        pytest.param(
            Writer.ALERT, {"zero": "true", "springtide.cold-worth": "15m"}, [], id="a price, which the setting may use"
        ),
        pytest.param(
            None, {"springtide.policy": "target"}, ["policy: not used; nobody owns the replicas"], id="nor has nobody"
        ),
    ],
)
def test_legal_label_without_effect_is_told(owner: Writer | None, labels: dict[str, str], words: list[str]) -> None:
    own = "springtide."
    named = {
        f"com.springtide.scale.{key.removeprefix(own)}" if key.startswith(own) else f"{SCALE}{key}": value
        for key, value in labels.items()
    }

    notes = label_names.without_effect(named, owner)

    assert len(notes) == len(words)
    assert all(word in note for word, note in zip(words, notes, strict=True))


@pytest.mark.parametrize(
    ("labels", "keys"),
    [
        pytest.param({f"{SCALE}target": "5"}, [], id="a target, which the scaler follows"),
        pytest.param({"com.springtide.scale.wake": "min"}, [], id="a wake, which the scaler learns"),
        pytest.param(
            {"com.springtide.scale.owner": "alerts", f"{SCALE}target": "5"}, [f"{SCALE}target"], id="a target of alerts"
        ),
        pytest.param(
            {"com.springtide.scale.policy": "queueing", f"{SCALE}down.window": "1m"},
            [f"{SCALE}down.window"],
            id="a window that neither uses",
        ),
        pytest.param({"topic": "x"}, ["topic"], id="an annotation of a connector's"),
    ],
)
def test_label_that_has_no_effect_anywhere_is_told_where_nobody_knows_who_runs(
    labels: dict[str, str], keys: list[str]
) -> None:
    assert [note.partition(":")[0] for note in label_names.without_effect_anywhere(labels)] == keys


@pytest.mark.parametrize(
    ("one", "other", "distance"), [("rps", "rps", 0), ("rps", "rsp", 1), ("", "cpu", 3), ("queue", "que", 2)]
)
def test_edit_distance(one: str, other: str, distance: int) -> None:
    assert edit_distance(one, other) == distance


words = st.text("abc", max_size=6)


@given(words, words)
def test_edit_distance_is_symmetric_and_bounded(one: str, other: str) -> None:
    distance = edit_distance(one, other)

    assert distance == edit_distance(other, one)
    assert abs(len(one) - len(other)) <= distance <= max(len(one), len(other))
    assert (distance == 0) == (one == other)
