"""Specs to map: handpicked ones, and a strategy for all that a cluster can run."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from springtide.provider.spec import FunctionSpec
from springtide.scaler.core.vocabulary import FunctionRef

ECHO = FunctionRef("openfaas-fn", "echo")


def spec(**changes: Any) -> FunctionSpec:
    settings: dict[str, Any] = {"ref": ECHO, "image": "ghcr.io/example/echo:1"}
    return FunctionSpec(**(settings | changes))


FULL = spec(
    env_process="python3 main.py",
    env_vars={"write_timeout": "1m30s", "exec_timeout": "2m", "Z": "", "colour": "blue"},
    constraints=("zone=b", "disk=ssd"),
    secrets=("token", "registry"),
    labels={"team": "a", "com.openfaas.scale.min": "2"},
    annotations={"topic": "billing", "com.openfaas.serviceaccount": "robot"},
    limits={"memory": "1024Mi", "cpu": "0.5", "nvidia.com/gpu": "1"},
    requests={"memory": "16Mi", "cpu": "100m"},
    read_only_root_filesystem=True,
)

dns_labels = st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)
label_values = st.from_regex(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?", fullmatch=True)
keys = st.from_regex(r"([a-z0-9]{1,9}\.io/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
variables = st.from_regex(r"[-_a-zA-Z][-._a-zA-Z0-9]{0,20}", fullmatch=True)
seconds = st.integers(1, 600).map(str) | st.integers(1, 9).map("{}m".format)
memory = st.integers(8, 4096).map("{}Mi".format) | st.sampled_from(["1Gi", "64M", "0.5Gi", "1e8"])
cpu = st.integers(1, 4000).map("{}m".format) | st.sampled_from(["1", "0.1", "2.50"])
amounts = st.fixed_dictionaries({}, optional={"memory": memory, "cpu": cpu})
probe_annotations = st.fixed_dictionaries(
    {},
    optional={
        "com.openfaas.health.http.path": st.just("/healthz"),
        "com.openfaas.health.http.initialDelay": st.just("30s"),
        "com.openfaas.ready.http.path": st.just("/_/ready"),
        "com.openfaas.ready.http.periodSeconds": st.integers(1, 60).map(str),
        "com.openfaas.ready.http.successThreshold": st.integers(1, 5).map(str),
    },
)
scale_labels = st.fixed_dictionaries(
    {},
    optional={
        "com.openfaas.scale.type": st.sampled_from(["rps", "cpu", "capacity"]),
        "com.openfaas.scale.target": st.sampled_from(["50", "75", "500", "250m"]),
        "com.openfaas.scale.max": st.integers(20, 60).map(str),
        "com.openfaas.scale.min": st.integers(0, 20).map(str),
        "com.openfaas.scale.down.window": st.sampled_from(["0", "90s", "5m"]),
    },
)


def _not_ours(names: dict[str, str]) -> dict[str, str]:
    """The provider's own labels come back as its own, however they were meant."""
    return {key: value for key, value in names.items() if key not in ("faas_function", "uid")}


@st.composite
def specs(draw: st.DrawFn) -> FunctionSpec:
    """Any function that a cluster can run: limits alone, so that no request is above one."""
    labels = draw(st.dictionaries(keys, label_values, max_size=3).map(_not_ours)) | draw(scale_labels)
    kind = draw(st.sampled_from(["limits", "requests"]))
    resources = draw(amounts)
    if labels.get("com.openfaas.scale.type") == "cpu":
        resources.setdefault("cpu", "100m")
    return FunctionSpec(
        ref=FunctionRef(draw(dns_labels), draw(dns_labels)),
        image=draw(st.sampled_from(["nginx", "ghcr.io/example/echo:1", "a.b/c@sha256:" + "0" * 64])),
        env_process=draw(texts),
        env_vars=draw(st.dictionaries(variables, texts, max_size=3))
        | draw(st.fixed_dictionaries({}, optional={"write_timeout": seconds, "exec_timeout": seconds})),
        constraints=tuple(
            f"{key}={value}" for key, value in draw(st.dictionaries(keys, label_values, max_size=2)).items()
        ),
        secrets=tuple(draw(st.lists(dns_labels, max_size=3, unique=True))),
        labels=labels,
        annotations=draw(st.dictionaries(keys, texts, max_size=3)) | draw(probe_annotations),
        read_only_root_filesystem=draw(st.booleans()),
        **{kind: resources},
    )
