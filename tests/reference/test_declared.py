"""What the reference is made from lacks nothing: a name that the code uses is in a table."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping

import springtide
from springtide.provider.annotation_table import ANNOTATIONS
from springtide.provider.kubernetes.manifests.keys import KEPT
from springtide.scaler.core import catalogue
from springtide.scaler.core.label_names import MEANT
from springtide.scaler.core.label_table import LABELS

KEY = re.compile(r"com\.(openfaas|springtide)\.[a-zA-Z._-]+")
OTHERS = {
    *MEANT,
    # Names in an archive that is built from.
    *("com.openfaas.docker.config", "com.openfaas.secrets"),
}
EVENT_TYPES = re.compile(r"com\.springtide\.(nats|mqtt|redis|kafka|rabbitmq|sqs|postgres|directory|schedule)\.[a-z]+")


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (one for key, inner in value.items() for one in (*strings(key), *strings(inner)))
    elif isinstance(value, tuple | list | set | frozenset):
        yield from (one for inner in value for one in strings(inner))


def test_every_constant_that_looks_like_a_label_or_an_annotation_is_in_a_table() -> None:
    """Read from the modules, so that one put together from a prefix is found, too."""
    known = {*(row.key for row in (*LABELS, *ANNOTATIONS)), *(kept.key for kept in KEPT), *OTHERS}
    beginnings = tuple(key[: at + 1] for key in known for at in range(len(key)) if key[at] == ".")
    names = [found.name for found in pkgutil.walk_packages(springtide.__path__, "springtide.")]
    used = {
        (name, text)
        for name in names
        if not name.endswith("__main__")
        for value in vars(importlib.import_module(name)).values()
        for text in strings(value)
        if KEY.fullmatch(text) and not EVENT_TYPES.fullmatch(text)
    }

    assert len(used) > len(LABELS)
    assert {(name, text) for name, text in used if text not in known and text not in beginnings} == set()


def test_every_label_of_a_metric_is_explained_and_none_that_there_is_not() -> None:
    assert set(catalogue.LABELS) == {label for metric in catalogue.ALL for label in metric.labels}
