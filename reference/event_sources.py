"""Sources of events, from the table of their kinds and the settings of each."""

from __future__ import annotations

from collections.abc import Iterator

from reference.markdown import code, page, table, text
from reference.settings import bounds
from springtide.cli.connector_file import KIND, MAX_SOURCES, NAME, SOURCES
from springtide.runtime.settings import Declared
from springtide.triggers.sources import kinds
from springtide.triggers.sources.kinds import SourceKind


def event_sources() -> str:
    return page(
        "Sources of events",
        f"What stands in the file of `springtide connector FILE`: below {code(SOURCES)} up to {MAX_SOURCES} sources, "
        f"each with its {code(KIND)}, a {code(NAME)} where it shall have another one than its kind, and the keys "
        f"below; beside {code(SOURCES)} the [settings of the connector](settings.md#connector). What events are to "
        "functions, and what each source promises: [events](../events.md).",
        *(part for kind, known in kinds.KINDS.items() for part in _section(kind, known)),
    )


def _section(kind: str, known: SourceKind) -> Iterator[str]:
    yield f"## {kind}"
    needs = f" It needs `pip install 'springtide[{known.extra}]'`." if known.extra else ""
    yield f"{text(known.about[:1].upper() + known.about[1:])}.{needs}"
    if known.openfaas:
        names = ", ".join(f"{code(theirs)} for {code(ours)}" for theirs, ours in known.openfaas.items())
        yield f"With `springtide connector --kind {kind}` these variables of OpenFaaS's connector count: {names}."
    yield table(("key", "default", "bounds", "meaning"), map(_cells, kinds.settings(kind)))


def _cells(item: Declared) -> tuple[str, str, str, str]:
    return code(item.env), code(item.shown_default), bounds(item), text(item.help)
