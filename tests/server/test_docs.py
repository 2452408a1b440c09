import re

import pytest

from tests.server.conftest import Served


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
async def test_a_page_loads_nothing_from_elsewhere(served: Served, path: str) -> None:
    page = await served.client.get(path)
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
    linked = re.findall(r'(?:src|href|spec-url)="([^"]+)"', page.text)
    assert len(linked) >= 2
    for link in linked:
        assert "//" not in link
        assert (await served.client.get(f"/{link}")).status_code == 200


async def test_no_other_file_is_served(served: Served) -> None:
    for name in ("README.md", "..%2Fapp.py", "%2Fetc%2Fpasswd"):
        assert (await served.client.get(f"/docs/assets/{name}")).status_code == 404
