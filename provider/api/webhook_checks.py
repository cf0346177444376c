"""``POST /system/webhook-check``: whether a delivery was signed with one of the secrets that its function names.

The values stay here. Who asks names the function, and with it the secrets that it says itself: no other can be tried.
"""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from springtide.provider.api.request_values import NamespaceRule, only
from springtide.provider.ports import Provider
from springtide.provider.spec import check_name
from springtide.runtime.errors import BadInput, NotFound, SpringtideError, Unavailable
from springtide.runtime.routes import Routes
from springtide.scaler.core.vocabulary import FunctionRef
from springtide.wire.webhooks.checks import CHECK_PATH, PROOF_HEADER
from springtide.wire.webhooks.proof import Proof, ProofCheck, key_of
from springtide.wire.webhooks.webhook import Webhook, webhook_of


def router(provider: Provider, namespaces: NamespaceRule) -> Routes:
    routes = Routes()

    @routes.post(CHECK_PATH)
    async def check(request: Request) -> Response:
        only(request, "function", "namespace")
        name = check_name("function", request.query_params.get("function", ""))
        proof = Proof.from_header(request.headers.get(PROOF_HEADER, ""))
        ref = FunctionRef(namespaces.of(request), name)
        checking = ProofCheck(proof, await _keys(provider, ref))
        try:
            async for piece in request.stream():
                checking.feed(piece)
        except ClientDisconnect as error:
            raise BadInput("the client left before its body was complete") from error
        return JSONResponse({"right": checking.right()})

    return routes


async def _keys(provider: Provider, ref: FunctionRef) -> list[bytes]:
    """Of every secret that is there and as it must be: one of two is enough. Raises Unavailable naming all others."""
    spec = (await provider.status(ref)).spec
    webhook = webhook_of(spec.annotations, spec.secrets)
    if webhook is None:
        raise NotFound(f"{ref} takes no webhooks")
    read = await asyncio.gather(*(_key(provider, ref, webhook, name) for name in webhook.secrets))
    keys = [one for one in read if isinstance(one, bytes)]
    if not keys:
        raise Unavailable(
            "; ".join(one for one in read if isinstance(one, str)) or f"{ref} names no secret to check with"
        )
    return keys


async def _key(provider: Provider, ref: FunctionRef, webhook: Webhook, name: str) -> bytes | str:
    """The key, or why there is none."""
    try:
        return key_of(webhook.kind, await provider.read_secret(ref.namespace, name))
    except SpringtideError as error:
        return f"secret {name}: {error}"
