"""`python -m docs_build`: writes every page of the reference that is not as the code has it."""

import sys

from docs_build.pages import PAGES, ROOT


def main() -> None:
    for path, write in PAGES.items():
        page = ROOT / path
        text = write()
        if page.exists() and page.read_text() == text:
            continue
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text)
        sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main()
