"""Mode static: which file, of which type, whole or in part, and whether the caller has it already."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest

from springtide.watchdog.config import Mode, WatchdogConfig
from springtide.watchdog.static_files import StaticFolder
from tests.watchdog.served import served


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "sub").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "index.html").write_text("home")
    (folder / "sub" / "index.html").write_text("below")
    (folder / "a.txt").write_text("0123456789")
    (folder / "large.bin").write_bytes(os.urandom(1_000_000))
    (folder / "picture").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "way-out").symlink_to(tmp_path / "secret.txt")
    return folder


async def get(site: Path, path: str, method: str = "GET", **headers: str) -> httpx.Response:
    app = StaticFolder(WatchdogConfig(mode=Mode.STATIC, static_path=site))
    async with served(app) as here, httpx.AsyncClient() as client:
        url = f"http://127.0.0.1:{here.port}{path}"
        return await client.request(
            method, url, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )


@pytest.mark.parametrize(
    ("path", "status", "body", "kind"),
    [
        ("/", 200, "home", "text/html; charset=utf-8"),
        ("/index.html", 200, "home", "text/html; charset=utf-8"),
        ("/sub/", 200, "below", "text/html; charset=utf-8"),
        ("/a.txt", 200, "0123456789", "text/plain; charset=utf-8"),
        ("/sub/../a.txt", 200, "0123456789", "text/plain; charset=utf-8"),
        ("/missing", 404, "Not Found", "text/plain; charset=utf-8"),
        ("/empty/", 404, "Not Found", "text/plain; charset=utf-8"),
        ("/..%2fsecret.txt", 404, "Not Found", "text/plain; charset=utf-8"),
        ("/%2e%2e/secret.txt", 404, "Not Found", "text/plain; charset=utf-8"),
        ("/way-out", 404, "Not Found", "text/plain; charset=utf-8"),
        ("/a%00b", 404, "Not Found", "text/plain; charset=utf-8"),
        ("/" + "x" * 5000, 404, "Not Found", "text/plain; charset=utf-8"),
    ],
)
async def test_path_is_a_file_of_the_folder_or_nothing(
    site: Path, path: str, status: int, body: str, kind: str
) -> None:
    answer = await get(site, path)

    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (status, body, kind)


async def test_page_for_what_is_not_there(site: Path) -> None:
    (site / "404.html").write_text("lost")
    answer = await get(site, "/missing")

    assert (answer.status_code, answer.text) == (404, "lost")


async def test_type_of_a_file_without_an_ending_is_told_by_its_content(site: Path) -> None:
    assert (await get(site, "/picture")).headers["content-type"] == "image/png"


async def test_large_file_arrives_whole(site: Path) -> None:
    assert (await get(site, "/large.bin")).content == (site / "large.bin").read_bytes()


async def test_head_has_the_length_and_no_body(site: Path) -> None:
    answer = await get(site, "/a.txt", "HEAD")

    assert (answer.headers["content-length"], answer.content) == ("10", b"")


@pytest.mark.parametrize(
    ("range_", "status", "body", "part"),
    [
        ("bytes=2-4", 206, "234", "bytes 2-4/10"),
        ("bytes=7-", 206, "789", "bytes 7-9/10"),
        ("bytes=7-99", 206, "789", "bytes 7-9/10"),
        ("bytes=-3", 206, "789", "bytes 7-9/10"),
        ("bytes=-99", 206, "0123456789", "bytes 0-9/10"),
        ("bytes=10-", 416, "", "bytes */10"),
        ("bytes=4-2", 200, "0123456789", None),
        ("bytes=0-1,3-4", 200, "0123456789", None),
        ("lines=0-1", 200, "0123456789", None),
        ("bytes=-", 200, "0123456789", None),
    ],
)
async def test_part_of_a_file(site: Path, range_: str, status: int, body: str, part: str | None) -> None:
    answer = await get(site, "/a.txt", range=range_)

    assert (answer.status_code, answer.text, answer.headers.get("content-range")) == (status, body, part)


async def test_part_of_another_version_is_the_whole(site: Path) -> None:
    etag = (await get(site, "/a.txt")).headers["etag"]

    assert (await get(site, "/a.txt", range="bytes=0-1", if_range=etag)).text == "01"
    assert (await get(site, "/a.txt", range="bytes=0-1", if_range='"other"')).text == "0123456789"


async def test_caller_who_has_the_file_gets_it_no_second_time(site: Path) -> None:
    first = await get(site, "/a.txt")
    etag, date = first.headers["etag"], first.headers["last-modified"]

    assert [(await get(site, "/a.txt", **{name: text})).status_code for name, text in (
        ("if_none_match", etag),
        ("if_none_match", f'"x", W/{etag}'),
        ("if_none_match", "*"),
        ("if_modified_since", date),
        ("if_none_match", '"x"'),
        ("if_modified_since", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("if_modified_since", "yesterday"),
    )] == [304, 304, 304, 304, 200, 200, 200]  # fmt: skip
