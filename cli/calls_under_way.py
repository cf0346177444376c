"""What a suite that stops waits for: calls that functions are still making, by what its gateway shows of them."""

from __future__ import annotations

from collections.abc import Mapping

import httpx
from prometheus_client.parser import text_string_to_metric_families

from springtide.runtime.errors import Unavailable
from springtide.scaler.core.catalogue import IN_FLIGHT
from springtide.scaler.core.vocabulary import DEFAULT_NAMESPACE, FunctionRef
from springtide.wire.metrics_endpoint import fetch

DEADLINE_S = 1.0
MAX_NAMED = 5


async def calls_under_way(metrics_url: str) -> Mapping[FunctionRef, int]:
    """Empty, too, where the gateway does not tell."""
    async with httpx.AsyncClient(trust_env=False) as http:
        try:
            told = await fetch(http, metrics_url, samples=[IN_FLIGHT.name], deadline_s=DEADLINE_S)
        except Unavailable:
            return {}
    samples = [sample for family in text_string_to_metric_families(told.text) for sample in family.samples]
    return {
        FunctionRef.parse(sample.labels["function_name"]): int(sample.value)
        for sample in samples
        if sample.name == IN_FLIGHT.name and sample.value > 0
    }


def shown(calls: Mapping[FunctionRef, int]) -> str:
    """The functions with most calls first, and how many of each."""
    most = sorted(calls.items(), key=lambda item: (-item[1], str(item[0])))
    named = [f"{count} of {_name(function)}" for function, count in most[:MAX_NAMED]]
    more = len(most) - MAX_NAMED
    return ", ".join([*named, f"those of {more} more functions"] if more > 0 else named)


def _name(function: FunctionRef) -> str:
    return function.name if function.namespace == DEFAULT_NAMESPACE else str(function)
