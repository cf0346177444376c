"""``faas-cli up --remote-builder`` as it is sent, through a gateway: build, deploy by the image's name, call."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from springtide.provider.api import ProviderApiDeps, ProviderApiSettings
from springtide.provider.api import build as build_api
from springtide.provider.process import function_store, starters
from springtide.provider.process.hashed_folders import remove_tree
from springtide.scaler.core.vocabulary import FunctionRef
from tests.gateway.test_system_api import CREDENTIALS, alone
from tests.provider.process.builder.archives import PYTHON3_HTTP, SECRET, build_request, signature
from tests.provider.process.wheels import make_wheel, requirements
from tests.provider.process.world import PATIENCE_S, World

IMAGE = "ttl.sh/me/fn:latest"
Files = Mapping[str, str | bytes]


class FaasCli:
    """Sends what faas-cli sends: with a build the signature alone, with a call nothing, with the rest credentials."""

    def __init__(self, world: World, http: httpx.AsyncClient) -> None:
        self.world = world
        self._http = http
        self._auth = (CREDENTIALS.user, CREDENTIALS.password)

    async def build(self, files: Files, image: str = IMAGE) -> list[dict[str, Any]]:
        """The lines of the answer."""
        body = build_request(files, image=image)
        headers = {
            "User-Agent": "faas-cli/0.18.2",
            "Content-Type": "application/octet-stream",
            "Accept": "application/x-ndjson",
            "X-Build-Signature": signature(body),
        }
        answer = await self._http.post("/build", content=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    async def deploy(self, command: str, *, image: str = IMAGE, name: str = "fn", **more: Any) -> list[int]:
        """An update, and on exactly 404 a creation; the statuses of both. Returns once a replica answers."""
        body = {
            "service": name,
            "image": image,
            "envProcess": command,
            "envVars": {},
            "constraints": None,
            "secrets": [],
            "labels": {},
            "annotations": {},
            "readOnlyRootFilesystem": False,
            **more,
        }
        headers = {"User-Agent": "faas-cli/0.18.2"}
        statuses = []
        for method in ("PUT", "POST"):
            answer = await self._http.request(method, "/system/functions", json=body, headers=headers, auth=self._auth)
            statuses.append(answer.status_code)
            if answer.status_code != 404:
                break
        assert statuses[-1] == 202, answer.text
        return statuses

    async def invoke(self, name: str = "fn", body: bytes = b"", path: str = "") -> httpx.Response:
        return await self._http.post(f"/function/{name}.openfaas-fn{path}", content=body)


@asynccontextmanager
async def faas_cli(folder: Path) -> AsyncIterator[FaasCli]:
    """A provider of processes behind its API, behind a gateway."""
    (folder / "payload-secret").write_bytes(SECRET)
    async with World(folder) as world:
        provider = world.provider
        settings = ProviderApiSettings(port=0, payload_secret=str(folder / "payload-secret"), grace_s=1.0)
        deps = ProviderApiDeps(
            provider=provider, credentials=CREDENTIALS, builder=provider.builder, library=provider.library
        )
        api = build_api(settings, deps)
        await api.start()
        try:
            async with (
                alone(provider_url=f"http://127.0.0.1:{api.port}") as gateway,
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{gateway.port}", timeout=4 * PATIENCE_S) as http,
            ):
                yield FaasCli(world, http)
        finally:
            await api.stop()


def shrinkwrapped(folder: Path, lang: str) -> Files:
    """The context that faas-cli makes of a template of ours and the handler that ``faas-cli new`` began."""
    starters.write_templates(folder)
    template = folder / "template" / lang
    return {file.relative_to(template).as_posix(): file.read_text() for file in template.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("lang", "command", "sent", "expected"),
    [
        pytest.param("python3-http", "python index.py", b"tide", "Hello! You said: tide", id="python3-http"),
        pytest.param("python3-flask", "python index.py", b"tide", "tide", id="python3-flask"),
        pytest.param("python3", "python3 index.py", b"tide", "tide", id="python3"),
        pytest.param("bash-streaming", "bash handler.sh", b"tide", "TIDE", id="bash-streaming"),
        pytest.param(
            "node",
            "node index.js",
            b"tide",
            '{"body":"\\"tide\\""}',
            id="node",
            marks=pytest.mark.skipif(shutil.which("node") is None, reason="Node is not on PATH"),
        ),
    ],
)
async def test_each_template_of_ours_is_built_deployed_and_answers(
    lang: str, command: str, sent: bytes, expected: str, tmp_path: Path
) -> None:
    async with faas_cli(tmp_path) as cli:
        lines = await cli.build(shrinkwrapped(tmp_path / "templates", lang))
        statuses = await cli.deploy(command)
        answer = await cli.invoke(body=sent)

    assert (lines[-1]["status"], lines[-1]["image"]) == ("success", IMAGE)
    assert {line["status"] for line in lines[:-1]} == {"in_progress"}
    assert statuses == [404, 202]
    assert (answer.status_code, answer.text.rstrip("\n")) == (200, expected)


def answering(text: str) -> Files:
    handler = f"def handle(event, context):\n    return {{'statusCode': 200, 'body': {text!r}}}\n"
    return {**PYTHON3_HTTP, "function/handler.py": handler}


async def test_what_runs_stays_what_was_deployed_until_it_is_deployed_anew(tmp_path: Path) -> None:
    async with faas_cli(tmp_path) as cli:
        await cli.build(answering("first"))
        await cli.deploy("python index.py")
        assert (await cli.invoke()).text == "first"

        await cli.build(answering("second"))
        await cli.world.scale(FunctionRef("openfaas-fn", "fn"), 3)
        await cli.world.ready(FunctionRef("openfaas-fn", "fn"), 3)
        still = {(await cli.invoke()).text for _ in range(12)}
        statuses = await cli.deploy("python index.py")
        answers = [(await cli.invoke()).text]
        while answers[-1] != "second":
            answers.append((await cli.invoke()).text)

    assert still == {"first"}
    assert statuses == [202]


async def test_a_build_that_fails_leaves_what_runs_as_it_was(tmp_path: Path) -> None:
    async with faas_cli(tmp_path) as cli:
        await cli.build(answering("first"))
        await cli.deploy("python index.py")
        broken = {**answering("second"), "function/requirements.txt": requirements("nosuch-package==7")}
        lines = await cli.build({**broken, "function/wheels/none.txt": ""})
        await cli.deploy("python index.py")

        assert lines[-1]["status"] == "failed"
        assert "nosuch-package" in lines[-1]["error"]
        assert (await cli.invoke()).text == "first"


async def test_requirements_are_there_for_the_handler(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels", "tide_sample", "1.2")
    handler = "import tide_sample\ndef handle(event, context):\n    return {'body': tide_sample.VERSION}\n"
    files: Files = {
        **PYTHON3_HTTP,
        "function/handler.py": handler,
        "function/requirements.txt": requirements("tide_sample"),
        f"function/wheels/{wheel.name}": wheel.read_bytes(),
    }
    async with faas_cli(tmp_path) as cli:
        lines = await cli.build(files)
        assert lines[-1]["status"] == "success", lines
        await cli.deploy("python index.py")

        assert (await cli.invoke()).text == "1.2"


async def test_an_image_whose_code_is_gone_is_told_to_be_built_again(tmp_path: Path) -> None:
    async with faas_cli(tmp_path) as cli:
        await cli.build(answering("lost"))
        for version in (cli.world.state_dir / "code").iterdir():
            remove_tree(version)

        with pytest.raises(AssertionError, match="build it again"):
            await cli.deploy("python index.py")


async def test_images_are_found_after_a_restart(tmp_path: Path) -> None:
    async with faas_cli(tmp_path) as cli:
        await cli.build(answering("built before"))
    async with faas_cli(tmp_path) as cli:
        await cli.deploy("python index.py")

        assert (await cli.invoke()).text == "built before"


async def test_another_command_than_the_templates_runs_in_the_folder_of_the_code(tmp_path: Path) -> None:
    files: Files = {"template.yml": "language: bash\nfprocess: ./handler.sh", "function/handler.sh": "echo not this"}
    async with faas_cli(tmp_path) as cli:
        await cli.build({**files, "function/other.txt": "beside the handler"})
        await cli.deploy("cat other.txt")

        assert (await cli.invoke()).text == "beside the handler"


async def test_an_image_that_was_not_built_is_refused_with_the_remedy(tmp_path: Path) -> None:
    async with faas_cli(tmp_path) as cli:
        with pytest.raises(AssertionError, match="--remote-builder"):
            await cli.deploy("python index.py")


@pytest.mark.parametrize(
    ("lang", "file", "source", "expected"),
    [
        pytest.param("bash", "handler.sh", "tr a-z A-Z", "TIDE", id="shell"),
        pytest.param(
            "node20",
            "handler.js",
            "module.exports = async (event) => `${event.body} from ${require('path').basename(__dirname)}`",
            "tide from function",
            id="node",
            marks=pytest.mark.skipif(shutil.which("node") is None, reason="Node is not on PATH"),
        ),
    ],
)
async def test_a_handlers_folder_is_built_by_a_deployment_too(
    lang: str, file: str, source: str, expected: str, tmp_path: Path
) -> None:
    """``springtide deploy -f``: the folder and the template's name, no image that was built before."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / file).write_text(source)
    annotations = {"com.springtide.handler": str(tmp_path / "mine"), "com.springtide.lang": lang}
    async with faas_cli(tmp_path) as cli:
        await cli.deploy("", image="springtide/python", annotations=annotations)
        (tmp_path / "mine" / file).write_text("changed since")

        assert (await cli.invoke(body=b"tide")).text.rstrip() == expected


@pytest.mark.parametrize(
    ("lang", "file", "source", "expected"),
    [
        pytest.param(
            "bash", "handler.sh", "echo more >> left.txt; cat left.txt; . ./lib.txt; echo $V", "more\nlib", id="shell"
        ),
        pytest.param(
            "node20",
            "handler.js",
            "const fs = require('fs'); module.exports = async () => {\n"
            "fs.appendFileSync('left.txt', 'more'); return fs.readFileSync('left.txt', 'utf8') + "
            "fs.readFileSync('./function/lib.txt', 'utf8') }",
            "moreV=lib",
            id="node",
            marks=pytest.mark.skipif(shutil.which("node") is None, reason="Node is not on PATH"),
        ),
    ],
)
async def test_what_a_handler_writes_where_it_runs_is_no_part_of_the_version(
    lang: str, file: str, source: str, expected: str, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / file).write_text(source)
    (tmp_path / "mine" / "lib.txt").write_text("V=lib")
    annotations = {"com.springtide.handler": str(tmp_path / "mine"), "com.springtide.lang": lang}
    async with faas_cli(tmp_path) as cli:
        await cli.deploy("", image="springtide/python", annotations=annotations)

        assert (await cli.invoke()).text.rstrip() == expected
        assert [path for path in tmp_path.rglob("left.txt") if "code" in path.parts] == []


async def test_a_handlers_folder_without_a_handler_is_refused(tmp_path: Path) -> None:
    annotations = {"com.springtide.handler": str(tmp_path), "com.springtide.lang": "node20"}
    async with faas_cli(tmp_path) as cli:
        with pytest.raises(AssertionError, match=r"there is no handler\.js"):
            await cli.deploy("", image="springtide/python", annotations=annotations)


HANDLERS = [function.name for function in function_store.FUNCTIONS if function.handler is not None]


async def test_functions_of_the_store_run(tmp_path: Path) -> None:
    """Each that this machine has what it needs for; what they say is for their own tests."""
    async with faas_cli(tmp_path) as cli:
        document = (await cli._http.get("/store/functions.json")).json()
        named = {function["name"]: function for function in document["functions"]}
        for name, function in named.items():
            more = {"envVars": function["environment"], "labels": function["labels"]}
            await cli.deploy(function["fprocess"], image=function["images"]["x86_64"], name=name, **more)
        answers = {name: await cli.invoke(name, b'{"a": 1}', "?for=1ms&ms=1") for name in named}

    assert set(HANDLERS) <= set(named)
    assert len(named) >= 12
    assert {name: answer.status_code for name, answer in answers.items() if name != "certinfo"} == {
        name: 200 for name in named if name != "certinfo"
    }
    assert answers["certinfo"].status_code == 400  # what was sent is no host


async def test_templates_can_be_cloned(tmp_path: Path) -> None:
    async with faas_cli(tmp_path) as cli:
        listed = (await cli._http.get("/templates.json")).json()

    if shutil.which("git", path="/usr/local/bin:/usr/bin:/bin") is None:
        assert listed == []
        return
    assert [template["template"] for template in listed] == [starter.lang for starter in starters.STARTERS]
    source = Path(listed[0]["source"])
    assert (source / "template" / "node" / "function" / "handler.js").is_file()
