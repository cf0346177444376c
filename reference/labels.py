"""Labels and annotations, from the tables by which they are read and checked."""

from __future__ import annotations

from collections.abc import Iterable

from reference.markdown import code, page, table, text
from springtide.provider.annotation_table import ANNOTATIONS
from springtide.provider.kubernetes.manifests.keys import KEPT
from springtide.scaler.core.label_table import LABELS, Row

HEAD = ("name", "values", "example", "without it", "meaning", "read by")


def labels() -> str:
    return page(
        "Labels and annotations",
        "What a function may say of itself, in `labels` and `annotations` of its stack file or deployment. A value "
        "that cannot be read is refused when the function is deployed, and so is a misspelt label, with what to write "
        "instead; an annotation that is nearly one of these is told. Durations are those of Go: `30s`, `1m30s`, "
        "`2h`; a number alone is seconds.",
        "## Labels",
        _table(LABELS),
        "## Annotations",
        _table(ANNOTATIONS),
        "## Kept on Kubernetes by the provider itself",
        "Nobody is to write these; they are listed so that one is not taken for another.",
        table(("name", "on", "meaning"), ((code(row.key), text(row.on), text(row.meaning)) for row in KEPT)),
    )


def _table(rows: Iterable[Row]) -> str:
    return table(HEAD, map(_cells, rows))


def _cells(row: Row) -> tuple[str, ...]:
    unset = code(row.default) if row.default else text(row.unset)
    return code(row.key), text(row.values), code(row.example), unset, text(row.meaning), text(", ".join(row.readers))
