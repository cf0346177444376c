"""What the control loop's metrics say of the loads that it follows."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from springtide.scaler.core import catalogue

PREFIX = f"{catalogue.CURRENT_LOAD.name}{{"


def read(exposition: str) -> dict[tuple[str, str], float]:
    """Each load by function (``name.namespace``) and its own name. Raises ValueError for what is no exposition."""
    lines = "".join(f"{line}\n" for line in exposition.splitlines() if line.startswith(PREFIX))
    return {
        (sample.labels.get("function_name", ""), sample.labels.get("scaling_type", "")): sample.value
        for family in text_string_to_metric_families(lines)
        for sample in family.samples
    }
