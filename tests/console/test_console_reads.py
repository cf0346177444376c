"""What the console shows, through the gateway's /ui/: pages, files, live updates, and who may see them."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from springtide.cli.state import StateFolder
from springtide.console import streams
from springtide.console.feed import Feed
from springtide.console.gateway_api import GatewayApi, why
from springtide.runtime.files import set_aside
from springtide.scaler.core.vocabulary import Decision, FunctionRef, Instant, Reason, Writer
from springtide.wire.provider_client import ProviderClient
from tests.console.served import CREDENTIALS, World, world

PAGES = ("/ui/", "/ui/deploy", "/ui/system", "/ui/triggers", "/ui/functions/greet.openfaas-fn")
KEY = "greet.openfaas-fn"
GREET = FunctionRef("openfaas-fn", "greet")


def page_data(text: str) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return dict(json.loads(found[1]))


async def test_every_page_answers_with_a_policy_that_loads_nothing_from_elsewhere() -> None:
    async with world() as here:
        await here.deploy("greet")
        for path in PAGES:
            page = await here.http.get(path)
            assert page.status_code == 200, path
            assert page.headers["content-security-policy"].startswith("default-src 'self'; ")
            assert "unsafe" not in page.headers["content-security-policy"]
            assert page.headers["cache-control"] == "no-store"
            assert not re.findall(r'(?:src|href)="(?!/ui/|#)(?!https://www.tradingview.com/)', page.text)
            assert CREDENTIALS.password not in page.text


@pytest.mark.parametrize("path", [*PAGES, "/ui/events", "/ui/static/any/console.css", "/ui/api/sparks", "/ui/nowhere"])
async def test_nothing_is_shown_without_credentials(path: str) -> None:
    async with world() as here:
        async with httpx.AsyncClient() as stranger:
            through = await stranger.get(f"http://127.0.0.1:{here.gateway.port}{path}")
            direct = await stranger.get(f"http://127.0.0.1:{here.console.port}{path}")
        assert (through.status_code, direct.status_code) == (401, 401)


async def test_console_itself_tells_only_its_health_to_strangers() -> None:
    async with world() as here, httpx.AsyncClient() as stranger:
        health = await stranger.get(f"http://127.0.0.1:{here.console.port}/healthz")
        assert health.status_code == 200


@pytest.mark.parametrize("path", ["/", "/ui"])
async def test_the_way_in_leads_to_the_list(path: str) -> None:
    async with world() as here:
        answer = await here.http.get(path)
        assert (answer.status_code, answer.headers["location"]) == (307, "/ui/")


async def test_files_are_small_and_kept_by_browsers_for_ever() -> None:
    async with world() as here:
        page = (await here.http.get("/ui/")).text
        for path in re.findall(r'(?:src|href)="(/ui/static/[^"]+)"', page):
            whole = await here.http.get(path, headers={"accept-encoding": "identity"})
            packed = await here.http.get(path, headers={"accept-encoding": "gzip"})
            assert whole.status_code == packed.status_code == 200, path
            assert whole.content == packed.content
            assert "content-encoding" not in whole.headers
            assert packed.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert packed.headers["content-encoding"] == "gzip"
            older = await here.http.get(re.sub(r"static/[^/]+", "static/older", path))
            assert older.headers["cache-control"] == "no-store"


async def test_names_of_a_hostile_function_stay_text() -> None:
    async with world() as here:
        for path in ("/ui/functions/<script>alert(1)", "/ui/deploy?function=<script>alert(1)"):
            page = await here.http.get(path)
            assert page.status_code == 404
            assert "<script>alert" not in page.text
            assert "&lt;script&gt;alert(1)" in page.text


async def test_list_shows_a_function_with_its_state_and_numbers() -> None:
    async with world() as here:
        await here.deploy("greet")
        for _ in range(5):
            await here.http.get("/function/greet")
        async for name, tick in here.events("/ui/events"):
            assert name == "tick"
            row = next((row for row in tick["rows"] if row["key"] == KEY), None)
            if row is not None and row["rate"] and row["p95"]:
                break
        assert row is not None
        assert (row["state"], row["desired"], row["ready"]) == ("ready", 1, 1)
        assert (row["errorShare"], row["held"]) == (0, 0)


async def test_ticks_carry_only_what_changed_and_name_what_went() -> None:
    async with world() as here:
        await here.deploy("greet")
        await here.deploy("quiet")
        ticks = here.events("/ui/events")
        seen: set[str] = set()
        async for _, tick in ticks:
            seen |= {row["key"] for row in tick["rows"]}
            if seen == {KEY, "quiet.openfaas-fn"} and not tick["rows"]:
                break
        await here.provider.write(FunctionRef("openfaas-fn", "quiet"), 3, expect=None, decision=None)
        async for _, tick in ticks:
            if tick["rows"]:
                break
        assert [row["key"] for row in tick["rows"]] == ["quiet.openfaas-fn"]
        await here.provider.delete(FunctionRef("openfaas-fn", "quiet"))
        async for _, tick in ticks:
            if tick["gone"]:
                break
        assert tick["gone"] == ["quiet.openfaas-fn"]


async def test_function_page_is_told_its_own_decisions_and_no_others() -> None:
    async with world() as here:
        await here.deploy("greet")
        await here.deploy("other")
        await here.until(lambda text: '"decisions": null' in text or '"decisions":null' in text, "/ui/")
        stream = here.events(f"/ui/events?function={KEY}&after=0")
        await report(here, decision("other", 1, 2), decision("greet", 1, 4))
        told = await event(stream, "decisions")
        assert [(one["change"], one["reasonText"], one["inputs"]) for one in told] == [
            ("1 → 4 replicas", "An alert fires: the load is above its target", [["data age", "1.5 s"]])
        ]
        data = page_data((await here.http.get(f"/ui/functions/{KEY}")).text)
        assert [one["after"] for one in data["decisions"]] == [4]


async def test_page_that_comes_back_is_told_only_what_it_missed() -> None:
    async with world() as here:
        await here.deploy("greet")
        await report(here, decision("greet", 1, 2), decision("greet", 2, 3))
        await here.until(lambda text: '"after": 3' in text, f"/ui/functions/{KEY}")
        data = page_data((await here.http.get(f"/ui/functions/{KEY}")).text)
        first, _ = data["decisions"]
        stream = here.events(f"/ui/events?function={KEY}", headers={"last-event-id": str(first["number"])})
        told = await event(stream, "decisions")
        assert [one["after"] for one in told] == [3]


async def test_log_is_followed_and_one_that_cannot_be_says_why() -> None:
    async with world() as here:
        await here.deploy("greet")
        ref = FunctionRef("openfaas-fn", "greet")
        assert await event(here.events(f"/ui/events?function={KEY}&log=true"), "log") == "begins"
        here.provider.write_log(ref, "greet-1", "before")
        page = here.events(f"/ui/events?function={KEY}&log=true")
        before = await event(page, "line")
        here.provider.write_log(ref, "greet-1", "after")
        after = await event(page, "line")
        assert (before["text"], before["instance"], after["text"]) == ("before", "greet-1", "after")
        await event(page, "tick")
        other = here.events("/ui/events?function=nobody.openfaas-fn&log=true")
        assert (await event(other, "ended")).startswith("The log cannot be followed: ")
        await event(other, "tick")


async def test_log_that_nobody_tells_takes_no_lines_off_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LOG_RETRY_S", 0.01)

    async def provider(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Away\r\nContent-Length: 4\r\nConnection: close\r\n\r\naway")
        writer.close()

    server = await asyncio.start_server(provider, "127.0.0.1", 0)
    api = GatewayApi(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", None, deadline_s=5)
    log = streams.log_events(api, Feed(1, "logs"), GREET)
    async with asyncio.timeout(60):
        told = [await anext(log) for _ in range(3)]
    await log.aclose()
    await api.aclose()
    server.close()
    assert told == 3 * [streams.message("broken", "The log cannot be followed: away. Trying again.")]


async def test_log_that_breaks_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LOG_RETRY_S", 0.01)
    asked: list[bytes] = []

    async def provider(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        line = json.dumps({"text": f"line {len(asked)}"}).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(line) + 1, line + b"\n")
        )
        writer.close()

    server = await asyncio.start_server(provider, "127.0.0.1", 0)
    api = GatewayApi(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", None, deadline_s=5)
    log = streams.log_events(api, Feed(1, "logs"), FunctionRef("openfaas-fn", "greet"))
    async with asyncio.timeout(60):
        told = [await anext(log) for _ in range(5)]
    await log.aclose()
    await api.aclose()
    server.close()

    assert [name.split(b"\n")[0] for name in told] == [
        b"event: log", b"event: line", b"event: broken", b"event: log", b"event: line",
    ]  # fmt: skip
    assert b"line 1" in told[1]
    assert b"The log ended. Trying again." in told[2]
    assert b"line 2" in told[4]


async def test_page_of_a_function_that_was_removed_is_told_so_each_time_it_comes_back() -> None:
    async with world() as here:
        await here.deploy("greet")
        await here.provider.delete(GREET)
        await here.until(lambda text: KEY not in text, "/ui/")
        for _ in range(2):
            page = here.events(f"/ui/events?function={KEY}")
            assert (await event(page, "tick"))["gone"] == [KEY]
            await page.aclose()


async def test_stream_with_nothing_to_say_says_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "HEARTBEAT_S", 0.05)

    async with world() as here:
        page = here.events("/ui/events?page=system")
        assert await event(page, "beat") == 0


async def test_pages_while_the_provider_is_away() -> None:
    async with world() as here:
        await here.deploy("greet")
        await here.provider_api.stop()
        known = await here.http.get(f"/ui/functions/{KEY}")
        unknown = await here.http.get("/ui/functions/other.openfaas-fn")
        act = await here.http.post(f"/ui/api/functions/{KEY}/scale", json={"replicas": 2}, headers=await here.token())
        assert (known.status_code, page_data(known.text)["key"]) == (200, KEY)
        assert (unknown.status_code, unknown.headers["content-type"]) == (503, "text/html; charset=utf-8")
        assert "This page cannot be shown at the moment" in unknown.text
        assert 'href="/ui/system"' in unknown.text
        assert (act.status_code, act.headers["content-type"]) == (503, "text/plain; charset=utf-8")
        health = await event(here.events("/ui/events?page=system"), "health")
        up = {part["name"]: part["up"] for part in health["parts"]}
        assert (up["Gateway"], up["Provider"]) == (True, False)
        assert "()" not in " ".join(part["detail"] for part in health["parts"])


async def test_one_page_too_many_is_refused_in_a_sentence_and_let_in_once_another_has_left() -> None:
    async with world(max_viewers=1) as here:
        first = here.events("/ui/events")
        await anext(first)
        refused = await here.http.get("/ui/events")
        assert refused.status_code == 429
        assert refused.text == "1 pages with live updates are open already; close one and try again"
        await first.aclose()
        async with asyncio.timeout(60):
            while (await status(here, "/ui/events")) == 429:  # noqa: ASYNC110 - the server notices by itself
                await asyncio.sleep(0.05)


async def test_history_of_hours_needs_prometheus_and_says_so() -> None:
    async with world() as here:
        await here.deploy("greet")
        refused = await here.http.get(f"/ui/api/functions/{KEY}/history?range=6h")
        live = await here.http.get(f"/ui/api/functions/{KEY}/history?range=live")
        assert refused.status_code == 501
        assert "no Prometheus is configured; set prometheus_url" in refused.text
        assert live.json()["columns"]["desired"][-1] == 1


async def test_numbers_that_stop_coming_are_not_shown_as_the_present() -> None:
    async with world() as here:
        await here.deploy("greet")
        ticks = direct_ticks(here)
        await anext(ticks)
        await here.gateway.stop()
        old = r"The gateway's numbers are a few seconds old: .*cannot be reached"
        async for tick in ticks:  # that the list of functions cannot be read may be noticed, and said, before
            if re.match(old, tick["warning"] or "") and any(row["state"] == "unknown" for row in tick["rows"]):
                break
        assert [row["desired"] for row in tick["rows"]] == [None]


async def test_files_that_were_set_aside_are_told_on_the_page_of_the_system(tmp_path: Path) -> None:
    damaged = tmp_path / "cron" / "position.json"
    damaged.parent.mkdir()
    damaged.write_text("{")
    kept = set_aside(damaged, 0.0)
    async with world(set_aside=StateFolder(tmp_path).set_aside) as here:
        health = await event(here.events("/ui/events?page=system"), "health")
    assert health["set_aside"] == [str(kept)]


async def test_versions_that_a_provider_does_not_keep_are_none_and_those_that_are_not_known_are_not() -> None:
    async with world() as here:
        await here.deploy("greet")
        kept = await here.http.get("/ui/api/functions/greet.openfaas-fn/versions")
        await here.provider_api.stop()
        unknown = await here.http.get("/ui/api/functions/greet.openfaas-fn/versions")
    assert (kept.status_code, kept.json()) == (200, [])
    assert (unknown.status_code, unknown.json()) == (200, None)


async def test_health_names_each_part_and_what_its_absence_means() -> None:
    async with world(idler_url="http://127.0.0.1:9") as here:
        health = await event(here.events("/ui/events?page=system"), "health")
        parts = {part["name"]: part for part in health["parts"]}
        assert {name: part["up"] for name, part in parts.items()} == {
            "Gateway": True,
            "Provider": True,
            "Alert receiver": None,
            "Scaler": None,
            "Queue worker": None,
            "Cron": None,
            "Idler": False,
            "Prometheus": None,
            "Alertmanager": None,
            "Connector": None,
        }
        assert parts["Idler"]["detail"].endswith("functions that nobody calls stay up")
        assert "charts show the last minutes only" in parts["Prometheus"]["detail"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        pytest.param(httpx.ReadTimeout(""), "not in time", id="a time-out of the library"),
        pytest.param(TimeoutError(), "not in time", id="a time-out of ours"),
        pytest.param(httpx.ReadError(""), "ReadError", id="a break without words"),
        pytest.param(httpx.ConnectError("refused"), "refused", id="a break with words"),
    ],
)
def test_failure_of_a_request_always_has_words(error: Exception, words: str) -> None:
    assert why(error) == words


async def test_open_streams_do_not_hold_up_a_stop() -> None:
    async with world() as here:
        stream = here.events("/ui/events")
        await anext(stream)
        async with asyncio.timeout(60):
            await here.console.stop()
            async for _ in stream:
                pass


def decision(name: str, before: int, after: int) -> Decision:
    return Decision(
        FunctionRef("openfaas-fn", name), Writer.ALERT, before, after, Reason.ALERT_FIRING, "told", Instant(1e9),
        {"data_age_s": 1.5},
    )  # fmt: skip


async def report(here: World, *decisions: Decision) -> None:
    client = ProviderClient(f"http://127.0.0.1:{here.gateway.port}", CREDENTIALS)
    try:
        await client.report(decisions)
    finally:
        await client.aclose()


async def event(stream: AsyncIterator[tuple[str, Any]], name: str) -> Any:
    """The first of that name."""
    async for found, value in stream:
        if found == name:
            return value
    raise AssertionError(f"the stream ended without {name}")


async def status(here: World, path: str) -> int:
    async with here.http.stream("GET", path) as response:
        return response.status_code


async def direct_ticks(here: World) -> AsyncIterator[Any]:
    url = f"http://127.0.0.1:{here.console.port}/ui/events"
    auth = (CREDENTIALS.user, CREDENTIALS.password)
    async with asyncio.timeout(60), httpx.AsyncClient(auth=auth, timeout=60) as http, http.stream("GET", url) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("data: "):
                yield json.loads(line[6:])
