"""The page for those who come from elsewhere names only labels and annotations that there are."""

from __future__ import annotations

import re
from pathlib import Path

from springtide.provider.annotation_values import KNOWN as ANNOTATIONS
from springtide.scaler.core import loads
from springtide.scaler.core.label_names import KNOWN
from springtide.scaler.core.policy import DEFAULT_MAX

PAGE = (Path(__file__).parents[2] / "docs" / "move-scaling.md").read_text()


def test_every_name_on_the_page_is_read() -> None:
    named = {name.rstrip(".") for name in re.findall(r"com\.(?:openfaas|springtide)\.[a-z.-]+", PAGE)}

    assert named - {*KNOWN, *ANNOTATIONS, loads.QUERY, loads.ALSO} == set()


def test_every_label_of_openfaas_is_on_the_page() -> None:
    named = set(re.findall(r"com\.openfaas\.scale\.[a-z.-]+", PAGE))
    short = {f"com.openfaas.scale{name}" for name in re.findall(r"`(\.[a-z.-]+)`", PAGE)}

    assert {name for name in KNOWN if name.startswith("com.openfaas.")} - named - short == set()


def test_the_sizes_of_defaults_are_those_of_the_code() -> None:
    assert "ours is 20" in PAGE
    assert "five altogether" in PAGE
    assert (loads.MAX_LOADS, DEFAULT_MAX) == (5, 20)
