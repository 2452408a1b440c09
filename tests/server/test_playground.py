"""The playground's files as they are served."""

import re

import httpx2
import pytest

from hostler.server import playground
from tests.server.conftest import Served, serving


async def get(served: Served, path: str, **headers: str) -> httpx2.Response:
    return await served.client.get(path, headers=headers)


async def test_the_page_and_all_its_files_need_no_key() -> None:
    async with serving(api_key="sk-right") as served:
        page = await get(served, "/playground")
        assert page.status_code == 200
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        for path in re.findall(r'(?:src|href)="(playground/[^"]+)"', page.text):
            assert (await get(served, f"/{path}")).status_code == 200, path


async def test_a_module_imports_only_what_is_there(served: Served) -> None:
    for path in playground._FOLDER.glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', path.read_text()):
            assert (await get(served, f"/playground/{name}")).status_code == 200, (path.name, name)


@pytest.mark.parametrize("path", ["/playground", "/playground/app.js", "/playground/base.css"])
async def test_the_policy_allows_nothing_but_the_servers_own_files(served: Served, path: str) -> None:
    policy = (await get(served, path)).headers["content-security-policy"]
    allowed = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    assert {allowed[f"{kind}-src"] for kind in ("script", "style", "img", "connect")} == {"'self'"}
    assert "unsafe" not in policy
    assert allowed["require-trusted-types-for"] == "'script'"


async def test_nothing_is_written_as_markup_or_fetched_from_elsewhere() -> None:
    for path in playground._FOLDER.iterdir():
        text = path.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|localStorage", text), path
        assert not re.search(r"""(?:src|href|url|import)\W+https?://(?!www\.w3\.org/2000/svg)""", text), path


async def test_a_file_that_is_known_is_not_sent_again(served: Served) -> None:
    first = await get(served, "/playground/app.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await get(served, "/playground/app.js", **{"if-none-match": f'"other", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert (await get(served, "/playground/app.js", **{"if-none-match": '"other"'})).status_code == 200


@pytest.mark.parametrize("name", ["none.js", "..%2f..%2fplayground.py", "__init__.py"])
async def test_other_files_are_not_served(served: Served, name: str) -> None:
    answer = await get(served, f"/playground/{name}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"
