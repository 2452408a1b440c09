"""A hook of MkDocs: links into the source tree, which the site does not have, become the paths that they lead to."""

import re
from pathlib import Path
from typing import Any

_DOCS = Path(__file__).parent.parent / "docs"
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]+)\]\((?P<target>(?:\.\./)+[^)#\s]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called by MkDocs for each page."""
    return without_links_out(markdown, _DOCS / page.file.src_uri)


def without_links_out(markdown: str, source: Path) -> str:
    """`source`: the page's file. A link that leads nowhere stays, so that a strict build fails on it."""

    def shown(link: re.Match[str]) -> str:
        target = (source.parent / link["target"]).resolve()
        if target.is_relative_to(_DOCS) or not target.exists():
            return link[0]
        path = f"`{target.relative_to(_DOCS.parent)}`"
        return path if link["text"].strip("`") == path.strip("`") else f"{link['text']} ({path})"

    return _LINK.sub(shown, markdown)
