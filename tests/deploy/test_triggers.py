"""Schedules and connectors on a cluster: what their parts are told, and what values that cannot work are answered."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.rendering import objects, render
from springtide.cli import connector_file
from springtide.cli.connector_file import ConnectorFile
from springtide.cli.parts import connector, cron, gateway
from springtide.triggers.sources import kinds
from tests.deploy.installations import containers, environment, named, of_kind

helm_python = pytest.importorskip("helm_python", reason="helm-python-sdk: there is none for this machine")


# Schedules.


def test_copies_keep_what_was_sent_in_the_broker_and_the_gateway_knows_them() -> None:
    given = environment(containers(named("defaults", "Deployment", "cron"))[0])
    settings = cron.SETTINGS.read(given, {}, broker=cron.BROKER.read(given, {}))
    told = environment(containers(named("defaults", "Deployment", "gateway"))[0])

    assert settings.state_dir == ""
    assert settings.broker.nats_url == ("nats://nats.openfaas:4222",)
    assert gateway.SETTINGS.read(told, {}).cron_url == "http://cron.openfaas:8088"
    assert named("defaults", "Service", "cron")["spec"]["clusterIP"] == "None"


def test_without_a_broker_there_is_one_copy_at_a_time_with_a_folder_of_its_own() -> None:
    deployment = named("no NATS", "Deployment", "cron")
    container = containers(deployment)[0]
    given = environment(container)
    volumes = {volume["name"]: volume for volume in deployment["spec"]["template"]["spec"]["volumes"]}

    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})
    assert cron.SETTINGS.read(given, {}).state_dir == "/var/state"
    assert {"name": "state", "mountPath": "/var/state"} in container["volumeMounts"]
    assert "emptyDir" in volumes["state"]
    assert not {name for name in given if name.startswith("nats_")}


def test_an_installation_without_schedules_has_nothing_of_them() -> None:
    told = environment(containers(named("least", "Deployment", "gateway"))[0])

    assert "cron_url" not in told
    assert "cron" not in {one["metadata"]["name"] for one in of_kind("least", "Deployment")}


# Connectors.


def _file(name: str) -> ConnectorFile:
    """As the process reads it."""
    return connector_file.from_text(named("most", "ConfigMap", f"connector-{name}")["data"]["connector.yaml"], name)


def test_each_connector_is_given_its_file() -> None:
    for name in ("orders", "sensors"):
        deployment = named("most", "Deployment", f"connector-{name}")
        container = containers(deployment)[0]
        volumes = {volume["name"]: volume for volume in deployment["spec"]["template"]["spec"]["volumes"]}

        assert container["args"] == ["connector", "/etc/connector/connector.yaml"]
        assert {"name": "configuration", "mountPath": "/etc/connector", "readOnly": True} in container["volumeMounts"]
        assert volumes["configuration"]["configMap"]["name"] == f"connector-{name}"
        settings = connector.SETTINGS.read({**environment(container), **_file(name).settings}, {})
        assert (settings.gateway_url, settings.port) == ("http://gateway.openfaas:8080", 8089)
    assert settings.max_inflight_bytes == 67108864
    assert settings.grace_s == 60
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 75


def test_sources_of_two_connectors_have_names_apart() -> None:
    """By its name a source is known to its system, as client_id of MQTT, of which there can be one."""
    names = [source.name for name in ("orders", "sensors") for source in _file(name).sources]

    assert names == ["orders-nats", "sensors-mqtt", "cache", "sensors-directory"]


def test_credentials_are_files_and_environment_of_its_pods_alone() -> None:
    deployment = named("most", "Deployment", "connector-sensors")
    container = containers(deployment)[0]
    volumes = deployment["spec"]["template"]["spec"]["volumes"]
    (source,) = (source for source in _file("sensors").sources if source.kind == "mqtt")

    assert {"name": "secret", "mountPath": "/var/connector", "readOnly": True} in container["volumeMounts"]
    assert [one["secret"]["secretName"] for one in volumes if one["name"] == "secret"] == ["sensors-login"]
    assert source.values["password_path"].startswith("/var/connector/")
    assert {"name": "TZ", "valueFrom": {"configMapKeyRef": {"name": "zone", "key": "tz"}}} in container["env"]
    others = named("most", "Deployment", "connector-orders")["spec"]["template"]["spec"]["volumes"]
    assert "secret" not in {one["name"] for one in others}


def test_a_folder_is_a_volume_of_ones_own() -> None:
    deployment = named("most", "Deployment", "connector-sensors")
    volumes = {volume["name"] for volume in deployment["spec"]["template"]["spec"]["volumes"]}
    (mount,) = (one for one in containers(deployment)[0]["volumeMounts"] if one["mountPath"] == "/srv/incoming")

    assert mount["name"] in volumes


def test_the_gateway_knows_every_connector() -> None:
    told = gateway.SETTINGS.read(environment(containers(named("most", "Deployment", "gateway"))[0]), {})

    assert told.connector_urls == ("http://connector-orders.openfaas:8089", "http://connector-sensors.openfaas:8089")
    assert "connector_urls" not in environment(containers(named("defaults", "Deployment", "gateway"))[0])


def test_a_change_of_the_file_replaces_the_pods() -> None:
    annotations = named("most", "Deployment", "connector-orders")["spec"]["template"]["metadata"]["annotations"]

    assert len(annotations["checksum/configuration"]) == 64


def test_each_kind_can_be_given_all_its_keys_and_each_connector_be_halted() -> None:
    """The schema has the keys by name."""
    sources = {kind: {"kind": kind, **dict.fromkeys(kinds.keys(kind), "x")} for kind in kinds.KINDS}
    asked = [{"name": kind, "replicas": 0, "config": {"sources": [source]}} for kind, source in sources.items()]
    made = [one for one in objects(render({"connectors": asked})) if one["metadata"]["name"].startswith("connector-")]
    files = {one["metadata"]["labels"]["connector"]: one["data"] for one in made if one["kind"] == "ConfigMap"}

    for kind in kinds.KINDS:
        (source,) = connector_file.from_text(files[kind]["connector.yaml"], kind).sources
        assert source.values == dict.fromkeys(kinds.keys(kind), "x")
    assert [one["spec"]["replicas"] for one in made if one["kind"] == "Deployment"] == [0] * len(kinds.KINDS)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param([{"name": "a"}, {"name": "a"}], "several are called a", id="two of one name"),
        pytest.param(
            [{"name": "a", "replicas": 2, "config": {"sources": [{"kind": "mqtt", "topics": "a"}]}}],
            "client_id",
            id="copies that would end each other's connection",
        ),
    ],
)
def test_connectors_that_cannot_work_are_refused(values: list[dict[str, Any]], said: str) -> None:
    default = {"config": {"sources": [{"kind": "nats", "topics": "a"}]}}

    with pytest.raises(helm_python.HelmError, match=said):
        render({"connectors": [default | one for one in values]})
