"""Published examples of each sender, and what is none: nothing here is signed by our own code."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from springtide.runtime.errors import BadInput
from springtide.wire.webhooks.proof import Proof, ProofCheck, key_of
from springtide.wire.webhooks.shown import Outcome, Refused, Shown, shown_by
from springtide.wire.webhooks.webhook import Kind

Headers = list[tuple[bytes, bytes]]

GITHUB = (
    Kind.GITHUB,
    b"It's a Secret to Everybody",
    b"Hello, World!",
    [
        (b"X-GitHub-Delivery", b"72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        (b"X-Hub-Signature-256", b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
    ],
    0.0,
)
"""docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation"."""

SLACK = (
    Kind.SLACK,
    b"8f742231b10e8888abcd99yyyzzz85a5",
    (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
        b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
        b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121."
        b"803a0bc887a14d10d2c447fce8b6703c"
    ),
    [
        (b"X-Slack-Request-Timestamp", b"1531420618"),
        (b"X-Slack-Signature", b"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"),
    ],
    1531420618.0,
)
"""docs.slack.dev, "Verifying requests from Slack"."""

STANDARD = (
    Kind.STANDARD,
    b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    b'{"test": 2432232314}',
    [
        (b"webhook-id", b"msg_p5jXN8AQM9LWM0D4loKWxJek"),
        (b"webhook-timestamp", b"1614265330"),
        (b"webhook-signature", b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
    ],
    1614265330.0,
)
"""The example of the libraries of standardwebhooks.com."""

PUBLISHED = pytest.mark.parametrize(
    ("kind", "secret", "body", "headers", "at"), [GITHUB, SLACK, STANDARD], ids=["github", "slack", "standard"]
)


def read(kind: Kind, headers: Headers, now: float) -> Shown:
    return shown_by(kind, headers, now=now, tolerance_s=300)


def right(kind: Kind, headers: Headers, body: bytes, *secrets: bytes, now: float) -> bool:
    """As the provider does it: what the gateway read has gone over the wire, and the body comes in pieces."""
    proof = read(kind, headers, now).proof
    assert proof is not None
    check = ProofCheck(Proof.from_header(proof.to_header()), [key_of(kind, secret) for secret in secrets])
    for at in range(0, len(body), 7):
        check.feed(body[at : at + 7])
    return check.right()


@PUBLISHED
def test_the_published_example_is_right(kind: Kind, secret: bytes, body: bytes, headers: Headers, at: float) -> None:
    assert right(kind, headers, body, secret, now=at + 299)
    assert right(kind, headers, body, b"b3RoZXI=", secret, now=at - 299)  # the other secret comes first
    assert right(kind, headers, body, secret + b"\n", now=at)


@PUBLISHED
def test_another_body_or_secret_is_wrong(kind: Kind, secret: bytes, body: bytes, headers: Headers, at: float) -> None:
    assert not right(kind, headers, body + b" ", secret, now=at)
    assert not right(kind, headers, b"", secret, now=at)
    assert not right(kind, headers, body, b"b3RoZXI=", now=at)


def signed_by_stripe(body: bytes, secret: bytes, at: int) -> str:
    return hmac.new(secret, b"%d.%b" % (at, body), hashlib.sha256).hexdigest()


def test_stripe_may_sign_with_several_secrets_and_schemes() -> None:
    body, at = b'{"id": "evt_1"}', 1_700_000_000
    old, new = (signed_by_stripe(body, secret, at) for secret in (b"whsec_old", b"whsec_new"))
    headers = [(b"Stripe-Signature", f"t={at},v0={'0' * 64},v1={old}, v1={new},v2=?".encode())]

    for secret in (b"whsec_old", b"whsec_new"):
        assert right(Kind.STRIPE, headers, body, secret, now=at)
    assert not right(Kind.STRIPE, headers, body, b"whsec_none", now=at)
    assert not right(Kind.STRIPE, [(b"Stripe-Signature", f"t={at + 1},v1={old}".encode())], body, b"whsec_old", now=at)


def test_standard_signatures_of_other_versions_are_passed_over() -> None:
    kind, secret, body, headers, at = STANDARD
    several = b"v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg== v1,"
    more = [*headers[:2], (b"webhook-signature", several + b"A" * 43 + b"= " + headers[2][1])]

    assert right(kind, more, body, secret, now=at)
    with pytest.raises(Refused):
        read(kind, [*headers[:2], (b"webhook-signature", several)], at)


def basic(text: str) -> bytes:
    return b"Basic " + base64.b64encode(text.encode())


@pytest.mark.parametrize(
    ("shown", "secret", "expected"),
    [
        (b"Bearer s3cret", b"s3cret", True),
        (b"bearer  s3cret", b"s3cret\n", True),
        (b"Bearer s3cre", b"s3cret", False),
        (b"Bearer s3cret2", b"s3cret", False),
        (basic("anybody:s3cret"), b"s3cret", True),
        (basic("am:s3cret"), b"am:s3cret", True),
        (basic("other:s3cret"), b"am:s3cret", False),
        (basic("am:wrong"), b"am:s3cret", False),
        (basic("s3cret:x"), b"s3cret", False),
    ],
)
def test_alertmanager_shows_a_token_or_a_password(shown: bytes, secret: bytes, expected: bool) -> None:
    assert right(Kind.ALERTMANAGER, [(b"Authorization", shown)], b"{}", secret, now=0) is expected


HEX = b"0" * 64


@pytest.mark.parametrize(
    ("kind", "headers", "outcome"),
    [
        pytest.param(Kind.GITHUB, [], Outcome.NO_SIGNATURE, id="github without any"),
        pytest.param(Kind.GITHUB, [(b"X-Hub-Signature-256", b"")], Outcome.NO_SIGNATURE, id="github's empty"),
        pytest.param(Kind.GITHUB, [(b"X-Hub-Signature", b"sha1=0")], Outcome.NO_SIGNATURE, id="github's old SHA-1"),
        pytest.param(Kind.GITHUB, [(b"X-Hub-Signature-256", HEX)], Outcome.MALFORMED, id="github without a scheme"),
        pytest.param(
            Kind.GITHUB, [(b"X-Hub-Signature-256", b"sha256=" + HEX[1:])], Outcome.MALFORMED, id="github too short"
        ),
        pytest.param(
            Kind.GITHUB, [(b"X-Hub-Signature-256", b"sha256=" + HEX)], Outcome.NO_SIGNATURE, id="github without an id"
        ),
        pytest.param(
            Kind.GITHUB, [(b"X-Hub-Signature-256", b"sha256=" + HEX)] * 2, Outcome.MALFORMED, id="github's, twice"
        ),
        pytest.param(
            Kind.GITHUB, [(b"X-Hub-Signature-256", b"sha256=" + b"0" * 60_000)], Outcome.MALFORMED, id="absurdly long"
        ),
        pytest.param(Kind.STRIPE, [(b"Stripe-Signature", b"v1=" + HEX)], Outcome.MALFORMED, id="stripe without a time"),
        pytest.param(
            Kind.STRIPE, [(b"Stripe-Signature", b"t=1000,t=1000,v1=" + HEX)], Outcome.MALFORMED, id="stripe's two times"
        ),
        pytest.param(Kind.STRIPE, [(b"Stripe-Signature", b"t=1000,v0=" + HEX)], Outcome.MALFORMED, id="stripe's v0"),
        pytest.param(
            Kind.STRIPE,
            [(b"Stripe-Signature", b"t=1000" + b",v1=" + HEX + 10 * (b",v1=" + HEX))],
            Outcome.MALFORMED,
            id="stripe's eleven",
        ),
        pytest.param(
            Kind.STRIPE, [(b"Stripe-Signature", b"t=-1,v1=" + HEX)], Outcome.MALFORMED, id="stripe's time is negative"
        ),
        pytest.param(
            Kind.STRIPE, [(b"Stripe-Signature", b"t=699,v1=" + HEX)], Outcome.TOO_OLD, id="stripe's is a second too old"
        ),
        pytest.param(
            Kind.STRIPE, [(b"Stripe-Signature", b"t=1301,v1=" + HEX)], Outcome.TOO_NEW, id="stripe's is of the future"
        ),
        pytest.param(Kind.SLACK, [(b"X-Slack-Signature", b"v0=" + HEX)], Outcome.NO_SIGNATURE, id="slack without time"),
        pytest.param(
            Kind.SLACK,
            [(b"X-Slack-Signature", b"v1=" + HEX), (b"X-Slack-Request-Timestamp", b"1000")],
            Outcome.MALFORMED,
            id="slack's of another version",
        ),
        pytest.param(
            Kind.SLACK,
            [(b"X-Slack-Signature", b"v0=" + HEX), (b"X-Slack-Request-Timestamp", b"1e3")],
            Outcome.MALFORMED,
            id="slack's time is no number",
        ),
        pytest.param(
            Kind.STANDARD,
            [
                (b"webhook-signature", b"v1," + b"A" * 43 + b"="),
                (b"webhook-id", b"a.1000"),
                (b"webhook-timestamp", b"1"),
            ],
            Outcome.MALFORMED,
            id="where the id ends is open",
        ),
        pytest.param(
            Kind.STANDARD,
            [(b"webhook-signature", b"v1,=x"), (b"webhook-id", b"a"), (b"webhook-timestamp", b"1000")],
            Outcome.MALFORMED,
            id="standard's is no base64",
        ),
        pytest.param(
            Kind.STANDARD,
            [
                (b"webhook-signature", b"v1," + b"A" * 43 + b"="),
                (b"webhook-id", b"a" * 201),
                (b"webhook-timestamp", b"1000"),
            ],
            Outcome.MALFORMED,
            id="standard's id is too long",
        ),
        pytest.param(Kind.ALERTMANAGER, [], Outcome.NO_SIGNATURE, id="alertmanager without any"),
        pytest.param(Kind.ALERTMANAGER, [(b"Authorization", b"Bearer ")], Outcome.MALFORMED, id="an empty token"),
        pytest.param(Kind.ALERTMANAGER, [(b"Authorization", b"Basic !!")], Outcome.MALFORMED, id="no base64"),
        pytest.param(Kind.ALERTMANAGER, [(b"Authorization", basic("user:"))], Outcome.MALFORMED, id="no password"),
        pytest.param(Kind.ALERTMANAGER, [(b"Authorization", b"Digest x")], Outcome.MALFORMED, id="another scheme"),
    ],
)
def test_what_cannot_be_right_is_refused_by_its_head(kind: Kind, headers: Headers, outcome: Outcome) -> None:
    with pytest.raises(Refused) as refused:
        read(kind, headers, 1000)

    assert refused.value.outcome is outcome
    assert HEX.decode() not in str(refused.value)


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [(Kind.GITHUB, b" \n", "empty"), (Kind.STANDARD, b"whsec_", "empty"), (Kind.STANDARD, b"not base64!", "base64")],
)
def test_a_secret_that_anybody_could_sign_with_is_none(kind: Kind, value: bytes, told: str) -> None:
    with pytest.raises(BadInput) as error:
        key_of(kind, value)

    assert told in str(error.value)
    assert "not base64!" not in str(error.value)


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "!.", "x" * 20_000, "é."])
def test_a_proof_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        Proof.from_header(text)


def test_neither_a_proof_nor_a_check_shows_what_it_has() -> None:
    proof = Proof(tokens=(b"s3cret",), digests=(b"d" * 32,))

    assert "s3cret" not in repr(proof) + repr(ProofCheck(proof, [b"s3cret"]))
    assert "ddd" not in repr(proof)
