"""Metric families as text. Most of what a scrape tells is as it was at the last one, and is not written anew."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

MAX_KEPT_SAMPLES = 2_000
"""Of one format, those of some dozens of functions: the text of thousands would be held beside their numbers."""

MAX_FORMATS = 2
"""Prometheus asks for one, people and the other parts for another."""

END = b"# EOF\n"
"""After the last family, in the formats that have an end."""


class Families(Collector):
    """What was collected at one moment."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def __repr__(self) -> str:
        return f"<Families {len(self._families)}>"

    def collect(self) -> Iterable[Metric]:
        return self._families


class ExpositionText:
    """One for each ``/metrics``. A family that it was given must not change afterwards."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, tuple[Metric, bytes]]] = {}
        """By content type and the family's name; the format asked for last is the last."""

    def __repr__(self) -> str:
        return f"<ExpositionText in {len(self._kept)} formats>"

    def write(self, families: Sequence[Metric], accepted: str) -> tuple[bytes, str]:
        """The text, in the format that ``accepted`` (HTTP's ``Accept``) prefers, and its content type.

        Threads may do this at the same time.
        """
        encode, content_type = choose_encoder(accepted)
        before = self._kept.pop(content_type, {})
        if samples(families) > MAX_KEPT_SAMPLES:
            return encode(Families(families)), content_type
        written: dict[str, tuple[Metric, bytes]] = {}
        texts: list[bytes] = []
        for family in families:
            known = before.get(family.name)
            if known is None or known[0] != family:
                known = (family, encode(Families([family])).removesuffix(END))
            written[family.name] = known
            texts.append(known[1])
        self._keep(content_type, written)
        if "openmetrics" in content_type:
            texts.append(END)
        return b"".join(texts), content_type

    def new_samples(self, families: Sequence[Metric], accepted: str) -> int:
        """How many of them ``write`` would write anew."""
        kept = self._kept.get(choose_encoder(accepted)[1], {})
        return samples(family for family in families if family.name not in kept or kept[family.name][0] != family)

    def _keep(self, content_type: str, written: dict[str, tuple[Metric, bytes]]) -> None:
        self._kept[content_type] = written
        for older in list(self._kept)[:-MAX_FORMATS]:
            self._kept.pop(older, None)


def samples(families: Iterable[Metric]) -> int:
    """How many lines they make, besides their descriptions."""
    return sum(len(family.samples) for family in families)
