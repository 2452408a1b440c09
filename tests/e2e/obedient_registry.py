"""A registry file with the obedient model alone."""

from pathlib import Path

import yaml

from tests.worker.obedience import build_obedient_model

MODEL = "obedient"


def build_obedient_registry(folder: Path, **settings: int) -> Path:
    """`models.yaml` in the folder, and in `obedient` beside it the model and its pipes; `settings`: of its entry."""
    build_obedient_model(folder / MODEL)
    entry = {
        "name": "tests/obedient",
        "type": "text",
        "size": "1M",
        "description": "Random weights, and a will that is not its own",
        "max_length": 4200,
        "trust_remote_code": True,
        "source": {"folder": MODEL},
        **settings,
    }
    (folder / "models.yaml").write_text(yaml.safe_dump({"models": {MODEL: entry}}))
    return folder
