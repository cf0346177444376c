from __future__ import annotations

from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.samples import Sample

from springtide.runtime import exposition_text
from springtide.runtime.exposition_text import ExpositionText, Families

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2"
FORMATS = (OPENMETRICS, "text/plain;version=1.0.0", "*/*")


class Watched(list[Sample]):
    """Samples that tell how often they were written."""

    read = 0

    def __iter__(self) -> Iterator[Sample]:
        self.read += 1
        return super().__iter__()


def family(name: str, value: float, *, count: int = 1) -> tuple[Metric, Watched]:
    metric = Metric(name, "Help", "gauge")
    watched = Watched(Sample(name, {"number": str(at)}, value) for at in range(count))
    metric.samples = watched
    return metric, watched


@pytest.mark.parametrize("accepted", FORMATS)
def test_the_text_is_the_librarys_at_the_first_scrape_and_after_changes(accepted: str) -> None:
    registry = CollectorRegistry()
    calls = Counter("calls", "Calls\nof all kinds", ["code"], registry=registry)
    seconds = Histogram("seconds", "Seconds", registry=registry)
    Gauge("same", "As it was", registry=registry).set(float("nan"))
    texts = ExpositionText()

    for seen in range(3):
        if seen:
            calls.labels('2"00').inc()
            seconds.observe(seen)
        encode, content_type = choose_encoder(accepted)
        assert texts.write(list(registry.collect()), accepted) == (encode(registry), content_type)


def test_a_family_that_is_as_it_was_is_not_written_anew() -> None:
    texts = ExpositionText()
    (same, _), (changed, _) = family("same", 1), family("changed", 1)
    texts.write([same, changed], "")

    (same, same_samples), (changed, changed_samples) = family("same", 1), family("changed", 2, count=3)
    assert texts.new_samples([same, changed], "") == 3
    assert texts.new_samples([same, changed], OPENMETRICS) == 4
    text, _ = texts.write([same, changed], "")

    assert b'same{number="0"} 1.0\n' in text
    assert b'changed{number="0"} 2.0\n' in text
    assert (same_samples.read, changed_samples.read) == (0, 1)


def test_the_text_of_very_many_samples_is_not_kept() -> None:
    texts = ExpositionText()
    for _ in range(2):
        large, samples = family("large", 1, count=exposition_text.MAX_KEPT_SAMPLES + 1)
        text, _ = texts.write([large], "")
        assert text == choose_encoder("")[0](Families([large]))
        assert samples.read == 2  # here, and by the library just now


def test_only_so_many_formats_are_kept() -> None:
    texts = ExpositionText()
    for accepted in FORMATS:
        texts.write([family("some", 1)[0]], accepted)

    assert repr(texts) == f"<ExpositionText in {exposition_text.MAX_FORMATS} formats>"
    first, samples = family("some", 1)
    texts.write([first], FORMATS[0])
    assert samples.read == 1
