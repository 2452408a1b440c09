"""Links, the map of the site, and other claims that are held against files."""

import re
from functools import cache
from pathlib import Path

import pytest
import yaml
from docs_build.site import without_links_out

from tests.docs.blocks import PAGES, ROOT

DOCUMENTS = sorted({*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *PAGES})
LINK = re.compile(r"\]\((?P<target>[^)#:\s]*)(?:#(?P<anchor>[^)\s]+))?\)")
NAV = yaml.safe_load(re.sub(r"!!\S+", "", (ROOT / "mkdocs.yml").read_text()))["nav"]


@cache
def anchors_of(page: Path) -> set[str]:
    """What the headings of a page are linked by, in GitHub's spelling and in MkDocs' alike."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def pages_of(entry: object) -> list[str]:
    match entry:
        case str():
            return [entry]
        case dict():
            return [page for value in entry.values() for page in pages_of(value)]
        case list():
            return [page for value in entry for page in pages_of(value)]
    raise AssertionError(f"nothing that a nav has: {entry!r}")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    for link in LINK.finditer(document.read_text()):
        target = (document.parent / link["target"]).resolve() if link["target"] else document
        assert target.exists(), link[0]
        if link["anchor"]:
            assert link["anchor"] in anchors_of(target), link[0]


def test_every_page_is_on_the_map_once() -> None:
    listed = pages_of(NAV)

    assert sorted(listed) == sorted(str(page.relative_to(ROOT / "docs")) for page in PAGES if page.parent != ROOT)


def test_a_link_into_the_source_tree_becomes_its_path() -> None:
    page = ROOT / "docs" / "operating.md"

    assert without_links_out("See [the rules](../deploy/prometheus/alerts.yml).", page) == (
        "See the rules (`deploy/prometheus/alerts.yml`)."
    )


@pytest.mark.parametrize("link", ["[Errors](reference/errors.md)", "[gone](../deploy/nothing.yml)", "[a](#b)"])
def test_other_links_stay_as_they_are(link: str) -> None:
    assert without_links_out(link, ROOT / "docs" / "operating.md") == link


def test_the_readme_has_150_lines_at_most_and_a_picture() -> None:
    text = (ROOT / "README.md").read_text()

    assert len(text.splitlines()) <= 150
    assert re.search(r"^!\[.+\]\(docs/.+\.png\)$", text, re.MULTILINE)


def test_every_client_is_documented_with_the_version_that_is_installed() -> None:
    clients = ROOT / "tests" / "clients"
    api = (ROOT / "docs" / "api.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| [^|]+ \| ([^|]+) \| `([\w.]+)` \|$", api, re.MULTILINE)
    pins = "".join(
        path.read_text() for path in [*clients.glob("pins/*.txt"), clients / "pins" / "node" / "package.json"]
    )

    assert sorted(script for _, script in rows) == sorted(path.name for path in clients.glob("scripts/*.*"))
    for versions, script in rows:
        for version in re.findall(r"\d+\.[\d.]+", versions):
            assert re.search(rf"(==|: \"){re.escape(version)}(\"|$)", pins, re.MULTILINE), (script, version)
