"""The site is built strictly, whole, and asks nobody else for anything; its links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

pytest.importorskip("mkdocs", reason="pip install 'springtide[docs]'")

from docs import repository_links
from tests.docs.site import Html, Site
from tests.told import TOLD

DOCS = Path(__file__).parents[2] / "docs"


def test_every_document_is_a_page_and_no_link_is_broken(
    site: Site, record_property: Callable[[str, object], None]
) -> None:
    documents = {path.relative_to(DOCS) for path in DOCS.rglob("*.md")}
    broken = site.broken()
    record_property(TOLD, f"the site has {len(site.pages)} pages and {site.links} links, {len(broken)} of them broken")

    assert broken == []
    assert len(site.pages) > len(documents)
    assert {_page_of(path) for path in documents} <= set(site.pages)


def test_no_page_loads_anything_from_elsewhere(site: Site) -> None:
    assert site.elsewhere() == []


def test_every_table_and_every_block_of_code_is_one(site: Site) -> None:
    raw = {
        name: [text.strip() for text in page.text if "|---" in text or "```" in text]
        for name, page in site.pages.items()
    }

    assert {name: found for name, found in raw.items() if found} == {}


def test_a_link_to_a_file_of_the_repository_leads_to_it_as_a_page_or_as_a_copy(site: Site) -> None:
    index = site.pages["index.html"]

    assert {"source/dashboards/", "source/SECURITY/"} <= set(index.links)
    assert {"source/provider/process/index.html", "source/SECURITY/index.html"} <= set(site.pages)


@pytest.mark.parametrize(
    ("link", "leads_to"),
    [
        pytest.param("queue.md", "docs/queue.md", id="a page beside it"),
        pytest.param("../SECURITY.md", "SECURITY.md", id="a file of the repository"),
        pytest.param("../dashboards/", "dashboards/README.md", id="a folder is its README"),
        pytest.param("../no-such-file.md", None, id="a file that there is not"),
        pytest.param("../../outside.md", None, id="a file outside of the repository"),
        pytest.param("https://example.org/queue.md", None, id="an address"),
    ],
)
def test_a_target_is_found_from_where_the_page_is(link: str, leads_to: str | None) -> None:
    found = repository_links._target(link, PurePosixPath("docs/page.md"))

    assert found == (leads_to and PurePosixPath(leads_to))


def test_the_checker_finds_a_missing_page_a_missing_place_and_a_foreign_script(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<h1 id="here">x</h1><a href="#here"></a><a href="#nowhere"></a><a href="gone/"></a>'
        '<script src="https://cdn.example.org/x.js"></script>'
    )
    site = Site(tmp_path)

    assert site.broken() == ["index.html: #nowhere", "index.html: gone/"]
    assert site.elsewhere() == ["index.html: https://cdn.example.org/x.js"]


def test_the_readme_is_short_and_its_links_lead_to_files() -> None:
    readme = (DOCS.parent / "README.md").read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", readme) if "://" not in link]

    assert len(readme.splitlines()) < 120
    assert len(links) > 10
    assert [link for link in links if not (DOCS.parent / link).exists()] == []


def _page_of(path: Path) -> str:
    stem = path.parent if path.name in ("README.md", "index.md") else path.with_suffix("")
    return (stem / "index.html").as_posix()


def test_text_inside_of_code_is_not_looked_at() -> None:
    page = Html()
    page.feed("<p>said</p><pre>|---|</pre>")

    assert page.text == ["said"]
