"""All pages, by file name."""

from __future__ import annotations

from collections.abc import Mapping

from reference.alerts import alerts
from reference.chart_values import values
from reference.command_line import command_line
from reference.event_sources import event_sources
from reference.labels import labels
from reference.markdown import NOTE, title_of
from reference.metrics import metrics
from reference.reasons import reasons
from reference.rest.documents import document
from reference.rest.operation import Api
from reference.rest.page import SYSTEM_PAGE, api_values, provider_api, system_api
from reference.rest.shape import VALUES_PAGE
from reference.settings import settings

PAGES = {
    "labels.md": ("what a function may say of itself", labels),
    "command-line.md": ("every command and option", command_line),
    "settings.md": ("flags and environment variables of every part", settings),
    "event-sources.md": ("keys of each kind in a connector's file", event_sources),
    "chart-values.md": ("what an installation on Kubernetes may change", values),
    "reasons.md": ("why a function has the replicas it has", reasons),
    "metrics.md": ("what each part tells at `/metrics`", metrics),
    SYSTEM_PAGE: ("what the gateway answers to programs", system_api),
    "provider-api.md": ("what the provider answers to the other parts", provider_api),
    VALUES_PAGE: ("what both take and answer, field by field", api_values),
    "alerts.md": ("what fires when, and what to do", alerts),
}


def pages() -> Mapping[str, str]:
    """File name → content."""
    written = {name: write() for name, (_, write) in PAGES.items()}
    return {**written, "README.md": _index(written), **{_document_name(api): document(api) for api in Api}}


def _index(written: Mapping[str, str]) -> str:
    lines = "".join(f"- [{title_of(written[name])}]({name}): {what}\n" for name, (what, _) in PAGES.items())
    documents = " and ".join(f"[{name}]({name})" for name in map(_document_name, Api))
    return (
        f"# Reference\n\n{NOTE}Made from what the code declares, and checked against it by the tests.\n\n{lines}\n"
        f"The two APIs as OpenAPI documents, for programs: {documents}.\n"
    )


def _document_name(api: Api) -> str:
    return f"{api}-api.json"
