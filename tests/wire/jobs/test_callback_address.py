"""Where answers may be sent to."""

from __future__ import annotations

import pytest

from springtide.runtime.errors import BadInput
from springtide.wire.jobs.callback_address import CallbackRules, Pattern, gateway_names, patterns

RULES = CallbackRules(
    denied=tuple(map(Pattern.parse, ("127.0.0.0/8:8081", "*.internal", "10.1.0.0/16", "[fd00::/8]:443"))),
    gateway=frozenset({("127.0.0.1", 8080), ("gateway", 8080)}),
)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "https://example.org:8081/x?y",
        "http://127.0.0.1:8080/function/told",
        "http://127.0.0.1:9000/",
        "http://10.2.0.1/",
        "http://[2001:db8::1]/",
        "http://internal/",
    ],
)
def test_it_may_go_there(url: str) -> None:
    RULES.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8081/system/functions",
        "http://127.9.9.9:8081/",
        "http://localhost:8081/",
        "http://LOCALHOST.:8081/",
        "http://a.localhost:8081/",
        "http://0.0.0.0:8081/",
        "http://[::1]:8081/",
        "http://[::]:8081/",
        "http://[::ffff:127.0.0.1]:8081/",
        "http://db.internal/",
        "http://DB.Internal./",
        "http://10.1.2.3/",
        "https://[fd12::1]/",
    ],
)
def test_it_may_not_go_there(url: str) -> None:
    with pytest.raises(BadInput, match="not to be called"):
        RULES.check(url)


LINK_LOCAL = ["169.254.169.254", "169.254.0.1", "fe80::1%eth0", "::ffff:169.254.169.254", "fd00:ec2::254"]


@pytest.mark.parametrize("host", LINK_LOCAL)
@pytest.mark.parametrize("allowed", ["", "*", "0.0.0.0/0,::/0", "*.example.org", "169.254.7.0/24:80"])
def test_link_local_addresses_are_called_nowhere_by_whatever_name(host: str, allowed: str) -> None:
    rules = CallbackRules(allowed=tuple(map(Pattern.parse, patterns(allowed))))
    for named in ("", "hook.example.org"):
        told = rules.refusal(host, 80, named=named)
        assert told is not None
        assert "callback_allow" in told


@pytest.mark.parametrize(
    ("allowed", "host", "named"),
    [
        pytest.param("169.254.7.9", "169.254.7.9", "", id="by its address"),
        pytest.param("*,169.254.0.0/16:80", "169.254.7.9", "", id="by its network"),
        pytest.param("box.lan", "169.254.7.9", "box.lan", id="by the host's full name"),
        pytest.param("[fe80::/10]:80", "fe80::1%eth0", "", id="by a network of IPv6"),
    ],
)
def test_a_link_local_address_that_is_named_may_be_called(allowed: str, host: str, named: str) -> None:
    for local in (True, False):
        rules = CallbackRules(allowed=tuple(map(Pattern.parse, patterns(allowed))), local=local)
        assert rules.refusal(host, 80, named=named) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "0.0.0.0", *LINK_LOCAL, "224.0.0.1"])
def test_on_a_cluster_nothing_goes_to_the_node_itself(host: str) -> None:
    rules = CallbackRules(local=False, gateway=frozenset({("127.0.0.1", 8080)}))
    assert rules.refusal(host, 80) is not None
    assert rules.refusal("127.0.0.1", 8080) is None
    assert rules.refusal("10.0.0.1", 80) is None


def test_with_a_list_of_the_allowed_nothing_else_is() -> None:
    rules = CallbackRules(allowed=tuple(map(Pattern.parse, ("*.example.org:443", "192.0.2.0/24"))))
    assert rules.refusal("hooks.example.org", 443) is None
    assert rules.refusal("203.0.113.7", 443, named="hooks.example.org") is None  # as it resolved
    assert rules.refusal("192.0.2.9", 80) is None
    for host, port in (("hooks.example.org", 80), ("example.com", 443), ("192.0.3.1", 80)):
        assert "callback_allow" in str(rules.refusal(host, port))


def test_a_name_that_leads_to_a_denied_address_is_refused_with_both() -> None:
    told = RULES.refusal("10.1.0.7", 80, named="innocent.example.org")
    assert told is not None
    assert "innocent.example.org is 10.1.0.7" in told


@pytest.mark.parametrize("text", ["10.0.0.0/40", "a/b", "host:99999", ":80", "::zz", ",".join(["a"] * 201)])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no host|no network|more than"):
        patterns(text)


def test_patterns_are_separated_by_commas() -> None:
    assert patterns(" a.b:80 , 10.0.0.0/8,[::1]:443,") == ("a.b:80", "10.0.0.0/8", "[::1]:443")
    assert patterns("") == ()


@pytest.mark.parametrize("url", ["", "x", "http:///x", "http://a b/", "http://u:p@x/", "http://x/" + "y" * 2000])
def test_what_is_no_callbacks_url_is_refused(url: str) -> None:
    with pytest.raises(BadInput, match="X-Callback-Url"):
        RULES.check(url)


def test_names_of_a_gateway_are_hosts_and_nothing_else() -> None:
    assert gateway_names("gateway.openfaas, Gateway.OpenFaaS.svc,") == ("gateway.openfaas", "gateway.openfaas.svc")
    for wrong in ("http://gateway", "gateway:8080", "a b", ",".join(["a"] * 21)):
        with pytest.raises(ValueError, match=r"scheme|names"):
            gateway_names(wrong)
