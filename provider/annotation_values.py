"""Whether annotations of a function say what they may, and are spelt as they are read.

The same wherever functions run, also where nothing reads them: a stack file is to mean the same on a cluster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from springtide.provider.annotation_table import ANNOTATIONS, SCRAPE_PORT
from springtide.scaler.core import label_names

MAX_SHOWN = 80
"""Characters of a wrong value that its problem repeats."""


def problems(annotations: Mapping[str, str]) -> Iterator[str]:
    """Each with its key, its value and what to write instead. An empty value is an unset one."""
    for key, parse in READERS.items():
        text = annotations.get(key, "").strip()
        try:
            if text:
                parse(text)
        except ValueError as error:
            yield f"annotation {key}={text[:MAX_SHOWN]!r}: {error}"


def misspelt(annotations: Mapping[str, str]) -> Iterator[str]:
    """Names that are nearly those of annotations that are read: each with the one that is meant."""
    for key in annotations:
        if "." not in key or key in KNOWN:  # "topics" may well be somebody's own
            continue
        if (near := label_names.slip_of(key, KNOWN)) is not None:
            yield f"{key[:MAX_SHOWN]}: unknown; is it {near}?"


_PARSERS = {row.key: row.parse for row in ANNOTATIONS if row.parse is not None}
READERS: Mapping[str, Callable[[str], object]] = _PARSERS | {"prometheus.io/port": _PARSERS[SCRAPE_PORT]}
KNOWN = (*(row.key for row in ANNOTATIONS), *READERS, "com.openfaas.function.spec")
"""Names of annotations that are read, here or by OpenFaaS."""
