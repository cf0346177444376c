"""Labels and annotations, from the tables by which they are read and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from reference.markdown import code, page, table, text
from springtide.provider.annotation_table import ANNOTATIONS
from springtide.provider.kubernetes.manifests.keys import KEPT
from springtide.scaler.core.label_table import LABELS, Row

HEAD = ("values", "example", "without it", "read by")


def labels() -> str:
    return page(
        "Labels and annotations",
        "What a function may say of itself, in `labels` and `annotations` of its stack file or deployment. A value "
        "that cannot be read is refused when the function is deployed, and so is a misspelt label, with what to write "
        "instead; an annotation that is nearly one of these is told. Durations are those of Go: `30s`, `1m30s`, "
        "`2h`; a number alone is seconds.",
        "## Labels",
        *_sections(LABELS),
        "## Annotations",
        *_sections(ANNOTATIONS),
        "## Kept on Kubernetes by the provider itself",
        "Nobody is to write these; they are listed so that one is not taken for another.",
        table(("name", "on", "meaning"), ((code(row.key), text(row.on), text(row.meaning)) for row in KEPT)),
    )


def _sections(rows: Iterable[Row]) -> Iterator[str]:
    """A heading each, so that one can be linked to and found."""
    for row in rows:
        yield f"### {code(row.key)}"
        yield f"{text(row.meaning[:1].upper() + row.meaning[1:])}."
        yield table(HEAD, [_cells(row)])


def _cells(row: Row) -> tuple[str, ...]:
    unset = code(row.default) if row.default else text(row.unset)
    return text(row.values), code(row.example), unset, text(", ".join(row.readers))
