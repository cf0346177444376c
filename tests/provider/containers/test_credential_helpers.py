"""Logins that a program keeps, asked for as Docker asks."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from pathlib import Path

import pytest

from springtide.provider.containers import credential_helpers
from springtide.provider.containers.credential_helpers import CredentialHelpers, Found

KEEPER = """#!/bin/sh
read -r server
case "$1 $server" in
"get ghcr.io") echo '{"ServerURL": "ghcr.io", "Username": "me", "Secret": "hunter2"}' ;;
"get https://index.docker.io/v1/") echo '{"Username": "<token>", "Secret": "long"}' ;;
"get broken.test") echo 'the keychain is locked'; exit 1 ;;
"get odd.test") echo 'me:hunter2' ;;
"get slow.test") exec sleep 600 ;;
"get held.test") sleep 600; echo late ;;
"get long.test") exec head -c 100000000 /dev/zero ;;
*) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"""
WRITTEN = {"auths": {"written.test": {"auth": base64.b64encode(b"you:secret").decode()}, "ghcr.io": {}}}


async def login(folder: Path, registry: str, config: object) -> Found:
    program = folder / "docker-credential-keeper"
    program.write_text(KEEPER)
    program.chmod(0o755)
    (folder / "config.json").write_text(json.dumps(config))
    return await CredentialHelpers(folder, {"PATH": f"{folder}:{os.defpath}"}).login(registry)


async def test_helper_of_all_registries_is_asked_for_each(tmp_path: Path) -> None:
    found = await login(tmp_path, "ghcr.io", WRITTEN | {"credsStore": "keeper"})

    assert found.login is not None
    assert (found.login.user, found.login.password, found.login.registry) == ("me", "hunter2", "ghcr.io")


async def test_helper_of_one_registry_comes_before_that_of_all(tmp_path: Path) -> None:
    config = {"credsStore": "none-such", "credHelpers": {"https://ghcr.io": "keeper"}}

    assert (await login(tmp_path, "ghcr.io", config)).login is not None


async def test_token_takes_the_place_of_user_and_password(tmp_path: Path) -> None:
    found = await login(tmp_path, "docker.io", {"credsStore": "keeper"})

    assert found.login is not None
    assert json.loads(base64.urlsafe_b64decode(found.login.header)) == {
        "identitytoken": "long",
        "serveraddress": "docker.io",
    }


async def test_what_the_helper_does_not_have_may_be_in_the_file(tmp_path: Path) -> None:
    found = await login(tmp_path, "written.test", WRITTEN | {"credsStore": "keeper"})

    assert found.login is not None
    assert found.login.user == "you"


async def test_registry_that_nobody_logged_in_at_has_no_login_and_no_problem(tmp_path: Path) -> None:
    assert await login(tmp_path, "public.test", {"credsStore": "keeper"}) == Found()
    assert await CredentialHelpers(tmp_path / "none", {}).login("public.test") == Found()


@pytest.mark.parametrize(
    ("registry", "helper", "said"),
    [
        pytest.param("ghcr.io", "desktop", "there is no program docker-credential-desktop on PATH", id="missing"),
        pytest.param("ghcr.io", "../keeper", "there is no program docker-credential-../keeper", id="a path"),
        pytest.param("broken.test", "keeper", "failed for broken.test ('the keychain is locked')", id="failing"),
        pytest.param("long.test", "keeper", "answers more than 64 KiB, which is no login", id="too much"),
        pytest.param("odd.test", "keeper", "answers for odd.test is no login", id="nonsense"),
    ],
)
async def test_helper_that_does_not_help_is_a_problem_with_key_and_remedy(
    tmp_path: Path, registry: str, helper: str, said: str
) -> None:
    found = await login(tmp_path, registry, {"credHelpers": {registry: helper}})

    assert found.login is None
    assert f"{tmp_path}/config.json: credHelpers.{registry}={helper!r}" in found.problem
    assert said in found.problem
    assert found.problem.endswith(f"or take credHelpers.{registry} out and run: docker login {registry}")


@pytest.mark.parametrize("text", ['{"auths": {', "[" * 100_000, "[]", "\0"], ids=["cut off", "deep", "a list", "zeros"])
async def test_configuration_that_is_damaged_is_a_problem_with_remedy(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)

    found = await CredentialHelpers(tmp_path, {}).login("ghcr.io")

    assert f"{tmp_path}/config.json cannot be read (no JSON object); mend it, or move it away" in found.problem


@pytest.mark.parametrize("registry", ["slow.test", "held.test"], ids=["itself", "what it started"])
async def test_helper_that_does_not_answer_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: str
) -> None:
    monkeypatch.setattr(credential_helpers, "DEADLINE_S", 0.2)
    async with asyncio.timeout(100):
        found = await login(tmp_path, registry, {"credsStore": "keeper"})

    assert "credsStore='keeper': docker-credential-keeper did not answer within 0.2 s" in found.problem
