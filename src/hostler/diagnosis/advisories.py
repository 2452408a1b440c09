"""Versions of packages with published holes in what Hostler uses of them."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from packaging.version import Version

CHECKED_ON = "2026-11-22"
"""When the table was last compared with its source, the NVD (https://nvd.nist.gov/vuln/detail/ and the id)."""


@dataclass(frozen=True)
class Advisory:
    """One hole."""

    package: str
    fixed_in: str
    id: str
    meaning: str


ADVISORIES = (
    Advisory("transformers", "5.3.0", "CVE-2026-4372", "a model's config.json may run code, trust_remote_code or not"),
    Advisory("starlette", "1.0.1", "CVE-2026-48710", "a malformed Host header may hide which path is asked for"),
    Advisory("torch", "2.6.0", "CVE-2025-32434", "pickled weights may run code although only weights are read"),
    Advisory("torch", "2.10.0", "CVE-2026-24747", "pickled weights may corrupt memory although only weights are read"),
    Advisory("sentencepiece", "0.2.1", "CVE-2026-1260", "a tokenizer's model file may corrupt memory"),
    Advisory("jinja2", "3.1.6", "CVE-2025-27516", "a chat template may leave its sandbox"),
)


def installed(package: str) -> str | None:
    """Its version."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def open_advisories() -> list[Advisory]:
    """Those that the installed versions are subject to."""
    return [
        advisory
        for advisory in ADVISORIES
        if (found := installed(advisory.package)) is not None and Version(found) < Version(advisory.fixed_in)
    ]
