"""Says whether what was built may be released: what is in it, and whether tag, version and changelog agree.

python tools/release_check.py dist [v1.2.3]
"""

import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parent.parent
REQUIRED = (
    "hostler/__init__.py",
    "hostler/__main__.py",
    "hostler/cli/commands.py",
    "hostler/client/__init__.py",
    "hostler/models.yaml",
    "hostler/py.typed",
    "hostler/server/assets/playground/index.html",
    "hostler/server/assets/swagger-ui-bundle.js",
)
"""In a wheel, without which an installation would lack something that only its users would notice."""
SOURCE_FILES = {"LICENSE", "README.md", "CHANGELOG.md", "PKG-INFO", "constraints.txt", "pyproject.toml", ".gitignore"}
"""At the top of a source archive, beside `src`."""
_LEFT_BEHIND = re.compile(
    r"(^|/)(__pycache__|\..*cache|\.coverage|\.env|\.venv[^/]*|node_modules)(/|$)|\.(pyc|key|pem|log)$"
)


def problems(dist: Path, tag: str | None) -> Iterator[str]:
    """Each a sentence; none: it may be released. `tag`: of the release, `v1.2.3`; `None`: none is made yet."""
    wheels, archives = list(dist.glob("*.whl")), list(dist.glob("*.tar.gz"))
    if (len(wheels), len(archives)) != (1, 1):
        yield f"{dist} has {len(wheels)} wheels and {len(archives)} source archives instead of one of each."
        return
    version = wheels[0].name.split("-")[1]
    yield from _of_wheel(wheels[0], version)
    yield from _of_archive(archives[0], version)
    yield from _of_changelog((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version, is_release=tag is not None)
    if tag is not None and tag != f"v{version}":
        yield f"The tag is {tag}, and the version is {version}."
    if tag is not None and _git("status", "--porcelain"):
        yield "There are changes that are not committed."


def _of_wheel(wheel: Path, version: str) -> Iterator[str]:
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
    info = f"hostler-{version}.dist-info"
    sources = {path.relative_to(ROOT / "src").as_posix() for path in _sources(ROOT / "src" / "hostler")}
    for name in sorted({*REQUIRED, f"{info}/licenses/LICENSE", f"{info}/entry_points.txt", *sources} - names):
        yield f"The wheel lacks {name}."
    for name in sorted(names):
        if PurePosixPath(name).parts[0] not in ("hostler", info) or _LEFT_BEHIND.search(name):
            yield f"The wheel has {name}, which does not belong into it."


def _of_archive(archive: Path, version: str) -> Iterator[str]:
    with tarfile.open(archive) as content:
        paths = [PurePosixPath(member.name).relative_to(f"hostler-{version}") for member in content if member.isfile()]
    names = {path.as_posix() for path in paths}
    for name in sorted(SOURCE_FILES - {".gitignore"} - names):
        yield f"The source archive lacks {name}."
    for name in sorted(names):
        if not (name in SOURCE_FILES or name.startswith("src/hostler/")) or _LEFT_BEHIND.search(name):
            yield f"The source archive has {name}, which does not belong into it."


def _of_changelog(text: str, version: str, *, is_release: bool) -> Iterator[str]:
    released = re.search(r"^## \[(\d[^\]]*)\] - \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)
    if released is None or released[1] != version:
        yield f"The newest version of CHANGELOG.md is not {version} with its date."
    unreleased = re.search(r"^## \[Unreleased\]\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    if is_release and unreleased is not None and unreleased[1].strip():
        yield f"CHANGELOG.md has changes under [Unreleased]; move them to [{version}]."


def _sources(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.py") if "__pycache__" not in path.parts]


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S603, S607


def main() -> None:
    dist, tag = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None
    found = list(problems(dist, tag))
    for sentence in found:
        sys.stderr.write(f"{sentence}\n")
    if found:
        sys.exit(1)
    sys.stdout.write(f"{dist} may be released\n" if tag else f"{dist} is as it should be\n")


if __name__ == "__main__":
    main()
