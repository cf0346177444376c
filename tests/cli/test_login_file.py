"""faas-cli's log-in file, shared by both tools."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from springtide.cli.faas_cli_config import LoginFile, normal
from springtide.runtime.basic_auth import Credentials
from springtide.runtime.errors import BadInput

WRITTEN_BY_FAAS_CLI = """
auths:
- gateway: http://127.0.0.1:8080
  auth: basic
  token: YWRtaW46c2VjcmV0OndpdGg6Y29sb25z
  options: []
- gateway: https://paid.example
  auth: oauth2
  token: ey.j.wt
  options:
  - name: audience
    value: here
telemetry: off
"""


@pytest.fixture
def file(tmp_path: Path) -> LoginFile:
    (tmp_path / "config.yml").write_text(WRITTEN_BY_FAAS_CLI)
    return LoginFile(tmp_path / "config.yml")


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        pytest.param({"HOME": "/h"}, "/h/.openfaas/config.yml", id="below the home folder"),
        pytest.param({"HOME": "/h", "OPENFAAS_CONFIG": "/c"}, "/c/config.yml", id="another folder"),
        pytest.param({"HOME": "/h", "OPENFAAS_CONFIG": "/c/my.yml"}, "/c/my.yml", id="another file"),
    ],
)
def test_file_is_where_faas_cli_has_it(environ: dict[str, str], path: str) -> None:
    assert LoginFile.default(environ).path == Path(path)


@pytest.mark.parametrize(
    "gateway", ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "HTTP://127.0.0.1:8080", "127.0.0.1:8080"]
)
def test_log_in_of_faas_cli_is_read(file: LoginFile, gateway: str) -> None:
    assert file.credentials(gateway) == Credentials("admin", "secret:with:colons")


@pytest.mark.parametrize("gateway", ["https://paid.example", "http://127.0.0.1:9999"])
def test_unknown_gateway_and_other_kinds_of_log_in_give_none(file: LoginFile, gateway: str) -> None:
    assert file.credentials(gateway) is None


def test_new_log_in_keeps_the_rest_and_is_the_owners_only(file: LoginFile) -> None:
    file.remember("http://127.0.0.1:8080/", Credentials("admin", "new"))

    written = yaml.safe_load(file.path.read_text())
    assert [entry["gateway"] for entry in written["auths"]] == ["https://paid.example", "http://127.0.0.1:8080"]
    assert written["auths"][0] == yaml.safe_load(WRITTEN_BY_FAAS_CLI)["auths"][1]
    assert written["telemetry"] is False
    assert file.credentials("http://127.0.0.1:8080") == Credentials("admin", "new")
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_first_log_in_makes_the_folder(tmp_path: Path) -> None:
    file = LoginFile(tmp_path / "deep" / "down" / "config.yml")

    file.remember("http://a", Credentials("u", "p"))

    assert file.credentials("http://a") == Credentials("u", "p")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("auths: [", id="not YAML"),
        pytest.param("- a", id="not a mapping"),
        pytest.param("auths: here", id="auths not a list"),
        pytest.param("auths: [{gateway: 'http://a', auth: basic, token: '!'}]", id="not base64"),
        pytest.param("auths: [{gateway: 'http://a', auth: basic, token: YWJj}]", id="no colon"),
    ],
)
def test_broken_file_is_one_sentence_naming_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.yml").write_text(content)

    with pytest.raises(BadInput, match=r"config\.yml: ") as caught:
        LoginFile(tmp_path / "config.yml").credentials("http://a")
    assert "\n" not in str(caught.value)


def test_gateways_are_compared_without_case_and_slash() -> None:
    assert normal(" HTTPS://Gateway.Example/ ") == "https://gateway.example"
