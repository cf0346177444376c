"""Asking the provider whether a delivery is who it says: it has the secrets, and only a yes or no comes back."""

from __future__ import annotations

import asyncio
from typing import Protocol

import httpx

from springtide.runtime import bounded_json
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import NotFound, Unavailable, error_for_status, kind_and_reason_of
from springtide.runtime.tls import client_context
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.webhooks.proof import Proof

CHECK_PATH = "/system/webhook-check"
"""``POST`` of a delivery's raw body. It is for gateways, which do not pass it on."""

PROOF_HEADER = "X-Springtide-Proof"

MAX_CONNECTIONS = 20
"""Of one gateway process: deliveries of strangers must not take the provider from everybody else."""

DEADLINE_S = 10.0
PATIENCE_S = 4.0
"""How long a provider that cannot be reached is tried again: it may be about to be back, and few senders ask twice."""

RETRY_S = 0.2


class WebhookChecks(Protocol):
    async def right(self, function: FunctionRef, proof: Proof, body: bytes) -> bool:
        """Whether one of the function's secrets proves it. Raises Unavailable where that cannot be told."""
        ...


class NoChecks:
    """Where nobody has the secrets."""

    async def right(self, function: FunctionRef, proof: Proof, body: bytes) -> bool:  # noqa: ARG002 - the Protocol's
        raise Unavailable("there is nobody here who could check webhooks")


class ProviderChecks:
    def __init__(self, base_url: str, credentials: Credentials | None) -> None:
        self._headers = {} if credentials is None else {"Authorization": credentials.header}
        self._http = httpx.AsyncClient(
            base_url=base_url.rstrip("/"),
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
            timeout=DEADLINE_S,
            trust_env=False,
            verify=client_context(),
        )

    def __repr__(self) -> str:
        return f"<ProviderChecks at {self._http.base_url}>"

    async def aclose(self) -> None:
        await self._http.aclose()

    async def right(self, function: FunctionRef, proof: Proof, body: bytes) -> bool:
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        while True:
            try:
                async with asyncio.timeout(DEADLINE_S):
                    return await self._asked(function, proof, body)
            except TimeoutError as error:
                raise Unavailable(f"the provider did not answer within {DEADLINE_S:g} s") from error
            except httpx.ConnectError as error:
                if loop.time() >= until:
                    raise Unavailable(f"the provider cannot be reached: {kind_and_reason_of(error)}") from error
            except httpx.HTTPError as error:
                raise Unavailable(f"the provider did not answer: {kind_and_reason_of(error)}") from error
            await asyncio.sleep(RETRY_S)

    async def _asked(self, function: FunctionRef, proof: Proof, body: bytes) -> bool:
        response = await self._http.post(
            CHECK_PATH,
            params={"function": function.name, "namespace": function.namespace},
            headers={**self._headers, PROOF_HEADER: proof.to_header(), "Content-Type": "application/octet-stream"},
            content=body,
        )
        if response.status_code != 200:
            told = response.text.strip()[:300] or response.reason_phrase
            if error_for_status(response.status_code) is NotFound and "page not found" in told:
                told = "this provider has no secrets to check webhooks with"
            raise Unavailable(f"the provider cannot tell ({response.status_code}): {told}")
        try:
            return bounded_json.loads(response.content)["right"] is True
        except (ValueError, KeyError, TypeError) as error:
            raise Unavailable("the provider's answer makes no sense") from error
