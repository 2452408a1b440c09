"""`docs/security.md` names tests; they are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "security.md").read_text()


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(tests/[\w/]+\.py::\w+)`", DOCUMENT))))
def test_every_named_test_exists(named: str) -> None:
    path, _, name = named.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_every_point_has_a_row_with_a_test_or_says_what_is_missing() -> None:
    rows = {match[1]: row for row in DOCUMENT.splitlines() if (match := re.match(r"\| (\d+) \|", row))}
    assert list(rows) == [str(number) for number in range(1, 17)]
    for row in rows.values():
        assert "tests/" in row or "**Not yet**" in row
