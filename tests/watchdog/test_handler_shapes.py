"""Each shape of a handler runs unchanged, and answers as it would in a container of its template."""

from __future__ import annotations

import itertools
import sys
from collections import Counter

import httpx
import pytest

from springtide.runtime.errors import BadInput
from tests.provider.process.conftest import Shared
from tests.provider.process.world import World
from tests.watchdog.handler_shapes import KEY, SHAPES, Shape
from tests.watchdog.handlers import FLASK

_names = (f"shape-{number}" for number in itertools.count())
IN_PART = ("Not Found", "Bad Request", "Redirecting", "Killed process.", "KeyError")
"""Answers of which Flask, the watchdog or Python words the rest."""


@pytest.fixture(scope="module")
def secret(shared: Shared) -> str:
    shared.run(shared.world.provider.put_secret("openfaas-fn", "shape", KEY.encode(), replace=False))
    return "shape"


@pytest.fixture(scope="module")
def flask(shared: Shared) -> None:
    """An environment with Flask, which the builder adds to what such handlers require."""
    world = shared.world
    try:
        shared.run(world.up("with-flask", annotations=world.handler("import flask\nhandle = str", "with-flask", FLASK)))
    except BadInput as refused:
        pytest.skip(f"no package index is reached: {str(refused)[-200:]}")


async def answered(world: World, shape: Shape, secret: str) -> httpx.Response:
    name = next(_names)
    annotations = world.handler(shape.source, name, shape.lang)
    for place, text in shape.files.items():
        file = world.folder / name / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    secrets = (secret,) if "openfaas/secrets" in shape.source else ()
    address = await world.up(name, env=shape.env, annotations=annotations, secrets=secrets)
    call = shape.call
    return await world.http.request(call.method, address + call.path, content=call.body, headers=call.headers)


@pytest.mark.parametrize("shape", SHAPES, ids=[f"{shape.lang} {shape.name}" for shape in SHAPES])
def test_shape(shared: Shared, secret: str, shape: Shape, request: pytest.FixtureRequest) -> None:
    if "flask" in shape.source:
        request.getfixturevalue("flask")
    response = shared.run(answered(shared.world, shape, secret))

    assert response.status_code == shape.status, response.text
    if any(part.encode() in shape.body for part in IN_PART) or not shape.body:
        assert shape.body in response.content
    else:
        assert response.content == shape.body
    if shape.kind is not None:
        assert response.headers["content-type"] == shape.kind
    for name, value in shape.headers.items():
        assert response.headers[name] == value


def test_there_are_thirty_for_each_template() -> None:
    counts = Counter(shape.lang for shape in SHAPES)

    assert len(counts) == 3
    assert min(counts.values()) >= 30


def test_flask_is_the_handlers_and_never_ours() -> None:
    assert "flask" not in sys.modules
