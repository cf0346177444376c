"""How the broker is reached, as people and as OpenFaaS's charts write it."""

from __future__ import annotations

from pathlib import Path

import pytest

from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import BadInput
from springtide.runtime.settings import SettingsError, read
from springtide.wire.jobs.settings import BrokerSettings, CredentialsFile, SeedFile, with_names_of_openfaas


def settings(**environ: str) -> BrokerSettings:
    return read(BrokerSettings, environ)


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        pytest.param("", (), id="none"),
        pytest.param("nats://a:4333", ("nats://a:4333",), id="one"),
        pytest.param("tls://a:1, nats://b", ("tls://a:1", "nats://b:4222"), id="several, and the usual port"),
        pytest.param("broker.example.org", ("nats://broker.example.org:4222",), id="a name alone"),
        pytest.param("10.0.0.7:4223", ("nats://10.0.0.7:4223",), id="without a scheme"),
        pytest.param("nats://[::1]:4222/", ("nats://[::1]:4222",), id="version 6"),
    ],
)
def test_servers_are_read(text: str, urls: tuple[str, ...]) -> None:
    assert settings(nats_url=text).nats_url == urls


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("http://a:4222", id="another scheme"),
        pytest.param("nats://", id="no host"),
        pytest.param("nats://a:99999", id="no such port"),
        pytest.param("nats://a:b", id="no port"),
        pytest.param("nats://a/x", id="a path"),
        pytest.param("nats://[::1", id="a bracket open"),
        pytest.param(",".join(["nats://a"] * 17), id="too many"),
    ],
)
def test_what_is_no_server_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^nats_url: "):
        settings(nats_url=text)


def test_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(SettingsError, match="nats_credentials_path") as caught:
        settings(nats_url="nats://me:s3cret@a:4222")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("number", ["1", "3", "5"])
def test_replicas_are_what_a_majority_can_be_had_of(number: str) -> None:
    assert settings(queue_replicas=number).queue_replicas == int(number)


@pytest.mark.parametrize("number", ["0", "2", "7", "x"])
def test_other_numbers_of_replicas_are_refused(number: str) -> None:
    with pytest.raises(SettingsError, match=r"^queue_replicas: "):
        settings(queue_replicas=number)


def test_login_is_what_the_path_leads_to(tmp_path: Path) -> None:
    (tmp_path / "nats-user").write_text("me\n")
    (tmp_path / "nats-password").write_text("s3cret\n")
    creds, seed = tmp_path / "app.creds", tmp_path / "app.nk"
    creds.write_text("-----BEGIN NATS USER JWT-----\neyJ0\n------END NATS USER JWT------\n")
    seed.write_text("SUAEXAMPLE\n")

    assert settings().login() is None
    assert settings(nats_credentials_path=str(tmp_path)).login() == Credentials("me", "s3cret")
    assert settings(nats_credentials_path=str(creds)).login() == CredentialsFile(creds)
    assert settings(nats_credentials_path=str(seed)).login() == SeedFile(seed)


@pytest.mark.parametrize("name", ["", "nothing"])
def test_login_that_is_not_there_names_what_is_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match=r"nats-user|nats_credentials_path"):
        settings(nats_credentials_path=str(tmp_path / name)).login()


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"faas_nats_address": "nats", "faas_nats_port": "4333"}, "nats://nats:4333", id="the gateway's"),
        pytest.param({"nats_host": "nats.openfaas"}, "nats://nats.openfaas:4222", id="the worker's"),
        pytest.param({"nats_host": "a", "nats_url": "nats://b:1"}, "nats://b:1", id="ours first"),
    ],
)
def test_openfaas_names_are_understood(environ: dict[str, str], url: str | None) -> None:
    assert with_names_of_openfaas(environ).get("nats_url") == url
