from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from springtide.provider.containers import container_labels, registry_login
from springtide.provider.containers.container_program import program_of
from springtide.provider.containers.engine.client import Image
from springtide.provider.containers.function_container import container_of
from springtide.provider.containers.probes import probes_of
from springtide.provider.containers.settings import ContainerSettings
from springtide.provider.machine.records import FunctionRecord
from springtide.provider.process.settings import ProcessSettings
from springtide.provider.spec import FunctionSpec
from springtide.runtime.errors import BadInput
from springtide.runtime.settings import SettingsError, read
from springtide.scaler.core.label_table import SLEEP
from springtide.scaler.core.vocabulary import Instant
from tests.provider.contract.acts import spec

IMAGE = Image(id="sha256:abc", environment={"max_inflight": "7"})


def body(wanted: FunctionSpec, **settings: str) -> dict[str, object]:
    record = FunctionRecord.new(wanted, 1, Instant(0.0))
    made = container_of(
        record,
        program_of(wanted, IMAGE),
        suite="0123456789ab",
        secrets=Path("/state/mounts/x"),
        settings=read(ContainerSettings, settings),
        machine=ProcessSettings(state_dir=Path("/state"), replica_memory="none"),
    )
    return {**made, **made["HostConfig"]}


def test_limits_and_requests_are_the_engines() -> None:
    made = body(spec(limits={"memory": "64Mi", "cpu": "250m"}, requests={"memory": "32Mi", "cpu": "500m"}))

    assert (made["Memory"], made["MemorySwap"], made["MemoryReservation"]) == (64 << 20, 64 << 20, 32 << 20)
    assert (made["NanoCpus"], made["CpuShares"]) == (250_000_000, 512)


def test_container_runs_with_nothing_that_it_does_not_need() -> None:
    made = body(spec(read_only_root_filesystem=True), container_user="12000:12000")

    assert made["CapDrop"] == ["ALL"]
    assert made["SecurityOpt"] == ["no-new-privileges"]
    assert made["ReadonlyRootfs"] is True
    assert made["User"] == "12000:12000"
    assert made["NetworkMode"] == "springtide-012345-openfaas-fn"
    assert made["PidsLimit"] == 1024
    assert made["Binds"] == []


def test_record_is_read_again_from_the_labels() -> None:
    record = FunctionRecord.new(spec(labels={"team": "a"}, env_vars={"k": "v"}), 3, Instant(7.0))
    labels = container_labels.labels_of(record, "suite")

    assert container_labels.record_of(labels) == record
    assert (container_labels.uid_of(labels), container_labels.generation_of(labels)) == (record.uid, 1)
    assert labels["team"] == "a"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 9}'])
def test_labels_that_cannot_be_read_are_nobodys(text: str) -> None:
    assert container_labels.record_of({container_labels.RECORD: text}) is None


def test_program_takes_the_images_limit_of_calls_unless_the_function_has_its_own() -> None:
    assert program_of(spec(), IMAGE).max_inflight == 7
    assert program_of(spec(env_vars={"max_inflight": "3"}), IMAGE).max_inflight == 3


def test_wrong_limits_and_sleep_are_refused_together() -> None:
    with pytest.raises(BadInput) as refused:
        program_of(spec(limits={"memory": "lots"}, labels={SLEEP: "doze"}), IMAGE)

    assert str(refused.value).startswith("limits.memory: 'lots'")
    assert f"{SLEEP}='doze': write stop or pause" in str(refused.value)


def test_probes_are_those_of_the_annotations() -> None:
    annotations = {"com.openfaas.health.http.path": "/live", "com.openfaas.ready.http.path": "/ready"}
    found = probes_of({**annotations, "com.openfaas.health.http.failureThreshold": "9"})

    assert (found.ready_path, found.health_path, found.failures) == ("/ready", "/live", 9)
    assert probes_of({"com.openfaas.health.http.path": "/live"}).ready_path == "/live"


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("alpine", "docker.io"),
        ("functions/alpine:latest", "docker.io"),
        ("ghcr.io/openfaas/figlet", "ghcr.io"),
        ("localhost/a", "localhost"),
        ("registry:5000/a@sha256:1", "registry:5000"),
    ],
)
def test_registry_of_an_image(image: str, registry: str) -> None:
    assert registry_login.registry_of(image) == registry


def test_logins_are_read_as_docker_writes_them_and_never_shown() -> None:
    auth = base64.b64encode(b"me:hunter2").decode()
    text = json.dumps({"auths": {"https://index.docker.io/v1/": {"auth": auth}, "ghcr.io": {}}}).encode()
    (login,) = registry_login.logins_of(text)

    assert registry_login.login_for("functions/alpine", [login]) is login
    assert registry_login.login_for("ghcr.io/a/b", [login]) is None
    assert json.loads(base64.urlsafe_b64decode(login.header)) == {
        "username": "me",
        "password": "hunter2",
        "serveraddress": "docker.io",
    }
    assert "hunter2" not in repr(login)


@pytest.mark.parametrize("text", [b"hunter2", b"[]", b'{"auths": 3}', b'{"auths": {"a": {"auth": "!!"}}}', b"\xff"])
def test_what_is_no_login_has_none(text: bytes) -> None:
    assert registry_login.logins_of(text) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("image_pull_policy", "Sometimes"), ("container_user", "root"), ("containers_at_stop", "burn")],
)
def test_settings_are_checked(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=value):
        read(ContainerSettings, {name: value})
