"""What gateways ask of a provider that has the secrets: a yes or a no, of the secrets that a function names itself."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from springtide.wire.webhooks.checks import CHECK_PATH, PROOF_HEADER
from springtide.wire.webhooks.proof import Proof
from springtide.wire.webhooks.webhook import MAX_BODY
from tests.provider.api.served import Served

BODY = b"x" * 3_000_000
"""More than any other request may have."""


def proof(secret: bytes, body: bytes = BODY, *, prefix: bytes = b"1700000000.") -> dict[str, str]:
    digest = hmac.new(secret, prefix + body, hashlib.sha256).digest()
    return {PROOF_HEADER: Proof(prefix=prefix, digests=(b"0" * 32, digest)).to_header()}


async def deploy(served: Served, kind: str = "stripe", named: str = "new,old") -> None:
    for name, value in (("new", "1"), ("old", "2"), ("other", "3")):
        assert (await served.http.post("/system/secrets", json={"name": name, "value": value})).status_code == 202
    said = {"com.springtide.webhook": kind, "com.springtide.webhook.secret": named}
    assert (await served.deploy(annotations=said, secrets=["new", "old", "other"])).status_code == 202


async def ask(served: Served, headers: dict[str, str], body: bytes = BODY, name: str = "echo") -> tuple[int, str]:
    answer = await served.http.post(CHECK_PATH, params={"function": name}, headers=headers, content=body)
    return answer.status_code, answer.text


async def test_either_secret_that_the_function_names_is_right_and_no_other(served: Served) -> None:
    await deploy(served)

    for value, right in ((b"1", "true"), (b"2", "true"), (b"3", "false"), (b"", "false")):
        assert await ask(served, proof(value)) == (200, f'{{"right":{right}}}')
    assert await ask(served, proof(b"1"), BODY + b"x") == (200, '{"right":false}')


async def test_a_secret_that_is_gone_leaves_the_other(served: Served) -> None:
    await deploy(served)
    await served.http.request("DELETE", "/system/secrets", json={"name": "new"})

    assert await ask(served, proof(b"2")) == (200, '{"right":true}')
    await served.http.request("PUT", "/system/secrets", json={"name": "old", "value": " "})
    status, text = await ask(served, proof(b""))
    assert status == 503
    assert "secret new: no secret" in text
    assert "secret old: is empty, and anybody could sign with it" in text


async def test_no_answer_shows_a_value(served: Served) -> None:
    await deploy(served, kind="standard")
    await served.http.request("PUT", "/system/secrets", json={"name": "old", "value": "hunter2!"})
    await served.http.request("PUT", "/system/secrets", json={"name": "new", "value": "hunter2?"})

    status, text = await ask(served, proof(b"1"))

    assert (status, "base64" in text, "hunter2" in text) == (503, True, False)


@pytest.mark.parametrize(
    ("name", "headers", "status"),
    [("nosuch", proof(b"1"), 404), ("echo", {}, 400), ("echo", {PROOF_HEADER: "x"}, 400), ("", proof(b"1"), 400)],
)
async def test_what_cannot_be_checked_is_refused(
    served: Served, name: str, headers: dict[str, str], status: int
) -> None:
    await deploy(served)

    assert (await ask(served, headers, b"", name))[0] == status


async def test_a_function_that_takes_no_deliveries_has_nothing_to_check(served: Served) -> None:
    await served.deploy()

    assert (await ask(served, proof(b"1"), b""))[0] == 404


async def test_a_body_has_a_bound(served: Served) -> None:
    await deploy(served)
    headers = {**proof(b"1"), "Content-Length": str(MAX_BODY + 1)}
    reader, writer = await served.connect()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    auth = "Authorization: Basic YWRtaW46czNjcmV0\r\n"
    writer.write(f"POST {CHECK_PATH}?function=echo HTTP/1.1\r\nHost: x\r\n{auth}{lines}\r\n".encode())
    piece = b"x" * (1 << 20)
    for _ in range(MAX_BODY // len(piece)):
        writer.write(piece)
        await writer.drain()
    writer.write(b"x")

    assert (await reader.readline()).split()[1] == b"413"
    writer.close()
