"""Whoever is told to call somebody may leave for there and may come in there; nobody else may."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from deploy.permissions import PARTS as ASK_THE_API_SERVER
from deploy.rendering import Object
from tests.deploy.installations import INSTALLATIONS, containers, environment, named, of_kind, workloads

with_policies = pytest.mark.parametrize("installation", [name for name in INSTALLATIONS if name != "least"])
CALLERS = ("alertmanager", "console", "scaler", "queue-worker", "cron", "connector", "idler")
OUTSIDE = {"ipBlock": {"cidr": "0.0.0.0/0"}}


def _calls(installation: str) -> Iterator[tuple[str, str, int]]:
    """Who is told to call which part at which port: what the environments say, and what configurations do."""
    services = {one["metadata"]["name"]: one["spec"]["selector"]["app"] for one in of_kind(installation, "Service")}
    for workload in workloads(installation):
        caller = workload["spec"]["template"]["metadata"]["labels"]["app"]
        for value in environment(containers(workload)[0]).values():
            for service, port in re.findall(r"(?:http|nats)://([-a-z]+)\.openfaas:(\d+)", value):
                yield caller, services[service], int(port)
    parts = {workload["metadata"]["labels"]["app"]: workload for workload in workloads(installation)}
    if "alertmanager" in parts:
        yield "alertmanager", "gateway", 8080
    if "prometheus" in parts:
        for part, workload in parts.items():
            annotations = workload["spec"]["template"]["metadata"].get("annotations", {})
            if "prometheus.io/port" in annotations:
                yield "prometheus", part, int(annotations["prometheus.io/port"])
        if "alertmanager" in parts:
            yield "prometheus", "alertmanager", 9093


@with_policies
def test_every_call_is_allowed_on_both_sides(installation: str) -> None:
    calls = set(_calls(installation))

    assert len(calls) >= 6
    for caller, called, port in calls:
        assert _allows(_policy(installation, caller)["egress"], "to", called, port), (caller, called, port)
        assert _allows(_policy(installation, called)["ingress"], "from", caller, port), (caller, called, port)


@with_policies
def test_nothing_else_is_allowed(installation: str) -> None:
    """Among the parts, and apart from the public port of the gateway."""
    calls = set(_calls(installation))
    parts = {one["spec"]["podSelector"]["matchLabels"]["app"] for one in _own(installation)}
    open_ports = {
        (caller, called, port)
        for called in parts
        for rule in _policy(installation, called)["ingress"]
        for port in [one["port"] for one in rule["ports"]]
        for caller in parts
        if "from" in rule and any(_app(peer) == caller for peer in rule["from"])
    }

    calls |= {("nats", "nats", 6222), ("queue-worker", "nats", 8222)}  # of a cluster; of one server, how that is
    calls |= {(part, "gateway", 8080) for part in CALLERS}
    assert open_ports - calls <= {
        # Scraped by a Prometheus that goes by PodMonitors instead of annotations.
        ("prometheus", part, port)
        for part, port in (
            ("gateway", 8082),
            ("provider", 8081),
            ("alert-receiver", 8083),
            ("scaler", 8086),
            ("queue-worker", 8087),
            ("cron", 8088),
            ("connector", 8089),
            ("idler", 8084),
            ("console", 8085),
        )
    }


@with_policies
def test_every_pod_has_a_policy(installation: str) -> None:
    parts = {workload["spec"]["template"]["metadata"]["labels"]["app"] for workload in workloads(installation)}

    assert {one["spec"]["podSelector"]["matchLabels"]["app"] for one in _own(installation)} == parts
    for policy in _own(installation):
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


@with_policies
def test_the_api_server_is_open_to_those_with_permissions(installation: str) -> None:
    ports = {
        policy["spec"]["podSelector"]["matchLabels"]["app"]
        for policy in _own(installation)
        if any([port["port"] for port in rule.get("ports", ())] == [443, 6443] for rule in policy["spec"]["egress"])
    }
    there = {one["metadata"]["name"] for one in of_kind(installation, "ServiceAccount")}

    assert ports == ASK_THE_API_SERVER.keys() & there


@with_policies
@pytest.mark.parametrize("part", ["gateway", "provider"])
def test_functions_can_be_reached_at_any_port(installation: str, part: str) -> None:
    rules = [rule for rule in _policy(installation, part)["egress"] if "ports" not in rule]

    assert {"key": "faas_function", "operator": "Exists"} in [
        expression
        for rule in rules
        for peer in rule["to"]
        for expression in peer.get("podSelector", {}).get("matchExpressions", ())
    ]


def test_monitoring_of_ones_own_may_scrape_and_be_asked() -> None:
    scraped = _policy("one's own monitoring", "provider")["ingress"][0]["from"]
    asked = [rule.get("to", ()) for rule in _policy("one's own monitoring", "idler")["egress"]]

    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}} in scraped
    assert any(OUTSIDE in peers for peers in asked)


def test_the_gateway_can_be_closed_but_for_some() -> None:
    rule = _policy("most", "gateway")["ingress"][0]

    assert [port["port"] for port in rule["ports"]] == [8080]
    assert tuple(_app(peer) for peer in rule["from"] if "podSelector" in peer) == CALLERS
    assert "from" not in _policy("defaults", "gateway")["ingress"][0]


def test_the_gateway_may_call_where_else_it_is_told() -> None:
    asked = [rule.get("to", ()) for rule in _policy("most", "gateway")["egress"]]

    assert [{"ipBlock": {"cidr": "192.0.2.7/32"}}] in asked


def test_connectors_may_call_everywhere_or_where_they_are_told() -> None:
    everywhere, told = (
        [rule.get("to", ()) for rule in _policy(installation, "connector")["egress"]]
        for installation in ("Prometheus operator", "most")
    )

    assert any(OUTSIDE in peers for peers in everywhere)
    assert not any(OUTSIDE in peers for peers in told)
    assert [{"ipBlock": {"cidr": "203.0.113.0/24"}}] in told


def test_functions_can_be_closed_but_for_the_suite() -> None:
    policy = named("most", "NetworkPolicy", "functions")

    assert policy["metadata"]["namespace"] == "openfaas-fn"
    assert policy["spec"]["policyTypes"] == ["Ingress"]
    assert "functions" not in {one["metadata"]["name"] for one in of_kind("defaults", "NetworkPolicy")}


def _own(installation: str) -> list[Object]:
    return [one for one in of_kind(installation, "NetworkPolicy") if one["metadata"]["name"] != "functions"]


def _policy(installation: str, part: str) -> Object:
    found: Object = named(installation, "NetworkPolicy", part)["spec"]
    return found


def _allows(rules: list[Object], side: str, part: str, port: int) -> bool:
    return any(
        (not rule.get("ports") or port in [one["port"] for one in rule["ports"]])
        and (side not in rule or any(_app(peer) == part for peer in rule[side]))
        for rule in rules
    )


def _app(peer: Object) -> str:
    return str(peer.get("podSelector", {}).get("matchLabels", {}).get("app", ""))
