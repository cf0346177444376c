"""Which requests a page of another site can have sent, as real servers see them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from springtide.runtime.asgi import respond
from springtide.runtime.asgi_server import AsgiServer
from springtide.runtime.same_origin import SameOrigin, normal_origin, origins

HOST = "faas.example:8080"


def objection(*allowed: str, method: str = "POST", **headers: str) -> str | None:
    named = [(b"host", HOST.encode())]
    named += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope: dict[str, Any] = {"type": "http", "method": method, "scheme": "http", "path": "/", "headers": named}
    return SameOrigin(origins(",".join(allowed))).objection(scope)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="a command line tells neither"),
        pytest.param({"content_type": "text/plain"}, id="nor does curl, whatever it sends"),
        pytest.param({"origin": f"http://{HOST}"}, id="an older browser tells the origin only"),
        pytest.param({"origin": f"http://{HOST.upper()}"}, id="hosts have no case"),
        pytest.param({"origin": f"http://{HOST}", "sec_fetch_site": "same-origin"}, id="a page of ours"),
        pytest.param({"sec_fetch_site": "none"}, id="the person at the browser"),
        pytest.param(
            {"origin": f"https://{HOST}", "x_forwarded_proto": "https"}, id="TLS ended at a proxy that says so"
        ),
    ],
)
def test_request_that_no_foreign_page_sent_is_taken(headers: dict[str, str]) -> None:
    assert objection(**headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"origin": "http://evil.example"}, id="another host"),
        pytest.param({"origin": "http://faas.example:9090"}, id="another port"),
        pytest.param({"origin": "http://faas.example"}, id="the port left out"),
        pytest.param({"origin": f"https://{HOST}"}, id="another scheme"),
        pytest.param({"origin": f"http://{HOST}@evil.example"}, id="the host as a user's name"),
        pytest.param({"origin": f"http://{HOST}.evil.example"}, id="the host as a beginning"),
        pytest.param({"origin": "null"}, id="a page in a sandbox"),
        pytest.param({"origin": "null", "sec_fetch_site": "same-origin"}, id="which says it is ours"),
        pytest.param({"origin": ""}, id="an empty one"),
        pytest.param({"origin": "file://"}, id="a file"),
        pytest.param({"origin": "chrome-extension://abcdef"}, id="an extension"),
        pytest.param({"sec_fetch_site": "cross-site"}, id="another site, its origin left out"),
        pytest.param({"sec_fetch_site": "same-site"}, id="a sibling"),
        pytest.param({"sec_fetch_site": "anything"}, id="a word that is not known"),
        pytest.param({"origin": f"http://{HOST}", "sec_fetch_site": "cross-site"}, id="our origin after a redirect"),
        pytest.param({"origin": "http://evil.example", "x_forwarded_host": "evil.example"}, id="a host that is told"),
    ],
)
def test_request_that_a_foreign_page_may_have_sent_is_refused_with_the_remedy(headers: dict[str, str]) -> None:
    why = objection(**headers)

    assert why is not None
    assert "allowed_origins" in why


def test_two_origins_are_none() -> None:
    scope: dict[str, Any] = {"type": "http", "method": "POST", "scheme": "http", "path": "/"}
    scope["headers"] = [(b"host", HOST.encode()), *[(b"origin", f"http://{HOST}".encode())] * 2]

    assert SameOrigin().objection(scope) is not None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin"])
def test_origin_that_is_listed_may_act(site: str) -> None:
    assert (
        objection("https://a.example, HTTPS://B.example:443/"[:-1], origin="https://b.example", sec_fetch_site=site)
        is None
    )
    assert objection("https://a.example", origin="https://b.example", sec_fetch_site=site) is not None


def test_setting_names_what_is_no_origin() -> None:
    assert origins("") == ()
    assert origins("https://a.example http://[::1]:81") == ("https://a.example:443", "http://[::1]:81")
    for wrong in ("*", "null", "a.example", "https://a.example/path", "https://"):
        with pytest.raises(ValueError, match="is no origin; write SCHEME://HOST"):
            origins(wrong)


def test_default_port_is_the_same_as_none() -> None:
    assert normal_origin("https://a.example") == normal_origin("https://a.example:443") == "https://a.example:443"


async def test_every_server_refuses_what_changes_something_but_on_paths_that_are_open_to_pages() -> None:
    async def hello(_scope: Any, _receive: Any, send: Any) -> None:
        await respond(send, 200, b"done")

    server = AsgiServer(hello, name="test", open_to_pages=("/function/", "/alert"))
    await server.start()
    foreign = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=foreign) as http:
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            answer = await http.request(method, "/function", content=b"x" * 100_000)
            assert (answer.status_code, answer.headers["content-type"]) == (403, "text/plain; charset=utf-8")
            assert "comes from another site (its origin: http://evil.example)" in answer.text
        for path in ("/function/x", "/alert"):
            assert (await http.post(path)).status_code == 200
        for method in ("GET", "HEAD", "OPTIONS"):
            assert (await http.request(method, "/x")).status_code == 200
        assert (await http.post("/alert/")).status_code == 403
    await server.stop()
