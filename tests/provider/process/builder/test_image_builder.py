"""From a build request to a name in the store: what is told, what is kept, and what a failure leaves as it was."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from springtide.provider.process.builder.code_builder import CodeBuilder
from springtide.provider.process.builder.image_builder import LocalImageBuilder
from springtide.provider.process.builder.node_modules import NodeModules, NpmBounds
from springtide.provider.process.code_store import CodeStore
from springtide.provider.process.environments import BuildBounds, Environments
from springtide.provider.process.local_images import LocalImage, LocalImages
from springtide.provider.process.requirements import wanted_by
from springtide.runtime.clock import SystemClock
from springtide.runtime.errors import BadInput
from tests.provider.process.builder.archives import IMAGE, PYTHON3_HTTP, archive, build_request, member, request_file
from tests.provider.process.wheels import make_wheel

SEARCH = "/usr/local/bin:/usr/bin:/bin"


class Workshop:
    """A builder with stores of its own, whose Python packages come from a folder of wheels."""

    def __init__(self, folder: Path) -> None:
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        operator = {"UV_FIND_LINKS": str(self.wheels)}
        self.code, self.images = CodeStore(folder / "code"), LocalImages(folder / "images")
        self.environments = Environments(folder / "environments", BuildBounds(), operator, search=SEARCH)
        modules = NodeModules(folder / "node", NpmBounds(), {}, search=SEARCH)
        self.scratch = folder / "builds"
        code = CodeBuilder(self.scratch, self.code, self.environment_of, modules, search=SEARCH)
        self.builder = LocalImageBuilder(self.scratch, code, self.images, SystemClock(), deployed=set)
        for store in (self.code, self.environments, code):
            store.open()
        self.images.open(0)
        self.told: list[str] = []
        self.reopen = code.open

    async def environment_of(self, version: str, tell: Callable[[str], None]) -> str:
        wanted = wanted_by(self.code.path(version), version=version)
        return (await self.environments.ensure(wanted, tell)).key

    async def build(self, files: Mapping[str, str], image: str = IMAGE) -> LocalImage:
        build = await self.builder.accept(io.BytesIO(build_request(files, image=image)))
        try:
            await build.run(self.told.append)
        finally:
            build.discard()
        found = self.images.find(image)
        assert found is not None
        return found


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


async def test_a_python_context_becomes_an_image(workshop: Workshop) -> None:
    made = await workshop.build(PYTHON3_HTTP)

    assert (made.name, made.lang, made.command, made.said) == (IMAGE, "python3-http", "", "python index.py")
    assert (workshop.code.path(made.code) / "handler.py").read_text() == PYTHON3_HTTP["function/handler.py"]
    assert workshop.told[0].startswith("template python3-http: ")
    assert workshop.told[-1] == f"image {IMAGE}: built; deploy it to run it"


async def test_requirements_are_installed(workshop: Workshop) -> None:
    make_wheel(workshop.wheels, "tide_sample", "1.2")

    made = await workshop.build({**PYTHON3_HTTP, "function/requirements.txt": "--no-index\ntide_sample\n"})

    site = workshop.environments.get(made.environment).folder
    assert list(site.glob("lib/*/site-packages/tide_sample.py"))


async def test_the_same_again_is_the_same_code_and_environment(workshop: Workshop) -> None:
    first = await workshop.build(PYTHON3_HTTP)
    second = await workshop.build(PYTHON3_HTTP)

    assert (first.code, first.environment) == (second.code, second.environment)


async def test_a_build_whose_requirements_cannot_be_had_says_why_and_changes_nothing(workshop: Workshop) -> None:
    before = await workshop.build(PYTHON3_HTTP)

    with pytest.raises(BadInput, match="nosuch-package was not found"):
        await workshop.build({**PYTHON3_HTTP, "function/requirements.txt": "--no-index\nnosuch-package==7\n"})

    assert workshop.images.find(IMAGE) == before


async def test_flask_comes_with_the_template_where_the_handler_imports_it(workshop: Workshop) -> None:
    make_wheel(workshop.wheels, "flask", "3.0")
    handler = {"function/handler.py": "import json\nfrom flask import jsonify\ndef handle(req): return jsonify(1)\n"}

    made = await workshop.build({**PYTHON3_HTTP, **handler, "function/requirements.txt": "--no-index"})

    site = workshop.environments.get(made.environment).folder
    assert list(site.glob("lib/*/site-packages/flask.py"))
    assert (workshop.code.path(made.code) / "requirements.txt").read_text() == "--no-index\nflask\n"


async def test_a_node_context_becomes_a_server_beside_its_handler(workshop: Workshop) -> None:
    files = {"template.yml": "language: node20\nfprocess: node index.js", "index.js": "express", "package.json": "{}"}

    made = await workshop.build({**files, "function/handler.js": "// mine", "function/package.json": '{"name": "x"}'})

    code = workshop.code.path(made.code)
    assert (made.command, made.variables) == ("node index.js", {"mode": "http"})
    assert (code / "function" / "handler.js").read_text() == "// mine"
    assert "express" not in (code / "index.js").read_text()


async def test_modules_of_package_json_are_installed_once(workshop: Workshop, tmp_path: Path) -> None:
    """From the context itself, so that no registry is asked."""
    package = {"name": "fn", "version": "1.0.0", "dependencies": {"inner": "file:./inner"}}
    files = {
        "function/handler.js": "module.exports = require('inner')",
        "function/package.json": json.dumps(package),
        "function/inner/package.json": '{"name": "inner", "version": "1.0.0"}',
        "function/inner/index.js": "module.exports = async () => 'inner'",
    }

    made = await workshop.build(files)

    modules = workshop.code.path(made.code) / "function" / "node_modules"
    assert (modules / "inner" / "index.js").read_text() == "module.exports = async () => 'inner'"


async def test_modules_that_cannot_be_had_are_told_in_npms_words(workshop: Workshop) -> None:
    package = {"name": "fn", "version": "1.0.0", "dependencies": {"inner": "file:./none.tgz"}}

    with pytest.raises(BadInput, match=r"npm could not install it:\n(.*\n)*.*none\.tgz"):
        await workshop.build({"function/handler.js": "", "function/package.json": json.dumps(package)})


async def test_a_shell_context_runs_its_script(workshop: Workshop) -> None:
    made = await workshop.build(
        {"template.yml": "language: bash-streaming\nfprocess: ./handler.sh", "function/handler.sh": "cat"}
    )

    assert (made.command, made.said, made.variables) == ("bash handler.sh", "./handler.sh", {"mode": "streaming"})
    assert (workshop.code.path(made.code) / "handler.sh").read_text() == "cat"


async def test_a_template_that_does_not_run_here_is_refused(workshop: Workshop) -> None:
    with pytest.raises(BadInput, match="not built here"):
        await workshop.build({"template.yml": "language: go", "function/handler.go": ""})

    assert workshop.images.find(IMAGE) is None


@pytest.mark.parametrize("image", ["", "has blank", "fn@sha256:" + "0" * 64, "-fn", "fn:", "x" * 1025])
async def test_a_name_that_nothing_can_be_called_is_refused(workshop: Workshop, image: str) -> None:
    with pytest.raises(BadInput, match=r"^image"):
        await workshop.builder.accept(io.BytesIO(build_request(PYTHON3_HTTP, image=image)))


async def test_build_secrets_are_refused_rather_than_lost(workshop: Workshop) -> None:
    members = [
        member("com.openfaas.docker.config", request_file()),
        member("com.openfaas.secrets", b"version: v1"),
        member("context/handler.py", b""),
    ]

    with pytest.raises(BadInput, match="build_secrets"):
        await workshop.builder.accept(io.BytesIO(archive(members)))


async def test_nothing_is_left_of_what_was_unpacked(workshop: Workshop) -> None:
    await workshop.build(PYTHON3_HTTP)
    with pytest.raises(BadInput):
        await workshop.builder.accept(io.BytesIO(b"no tar"))
    (workshop.scratch / "left" / "by").mkdir(parents=True)

    workshop.reopen()

    assert list(workshop.scratch.iterdir()) == []
