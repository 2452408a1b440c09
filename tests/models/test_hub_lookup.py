"""What is asked of the hub about a repository that a request names."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostler.config import Settings
from hostler.errors import GatedModelError, ModelLoadError, ModelNotFoundError
from hostler.models.hub_lookup import HubLookUp
from hostler.types import ModelType
from tests.fake_hub import FakeHub
from tests.tiny_models import build_tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model("llama", tmp_path_factory.mktemp("look-up") / "tiny")


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as hub:
        yield hub


@pytest.fixture
def look_up(hub: FakeHub, tmp_path: Path) -> HubLookUp:
    return HubLookUp(Settings(cache_dir=tmp_path / "cache"), hub.url)


def test_a_model_is_described_and_its_weights_are_not_fetched(look_up: HubLookUp, hub: FakeHub, tiny: Path) -> None:
    hub.add_repository("acme/model", tiny)
    entry = look_up("acme/model")
    limit = json.loads((tiny / "config.json").read_text())["max_position_embeddings"]
    assert (entry.name, entry.max_length, entry.trust_remote_code) == ("acme/model", limit, False)
    assert not any(request.path.endswith("safetensors") for request in hub.requests)


@pytest.mark.parametrize("name", ["acme/nowhere", "acme/two--dashes", "acme/two..dots"])
def test_what_the_hub_does_not_have_is_not_found(look_up: HubLookUp, name: str) -> None:
    with pytest.raises(ModelNotFoundError, match=name):
        look_up(name)


def test_what_has_no_use_for_text_is_not_found(look_up: HubLookUp, hub: FakeHub, tiny: Path, tmp_path: Path) -> None:
    seer = shutil.copytree(tiny, tmp_path / "seer")
    config = {"architectures": ["ViTForImageClassification"], "model_type": "vit", "image_size": 224}
    (seer / "config.json").write_text(json.dumps(config))
    hub.add_repository("acme/seer", seer)
    with pytest.raises(ModelNotFoundError, match="not known as a model that writes or reads text"):
        look_up("acme/seer")


def test_what_reads_is_found_with_its_type(look_up: HubLookUp, hub: FakeHub, tiny: Path, tmp_path: Path) -> None:
    encoder = shutil.copytree(tiny, tmp_path / "encoder")
    (encoder / "config.json").write_text(json.dumps({"architectures": ["BertModel"], "model_type": "bert"}))
    hub.add_repository("acme/encoder", encoder)
    assert look_up("acme/encoder").type is ModelType.EMBEDDING


def test_a_gated_repository_says_where_to_ask(look_up: HubLookUp, hub: FakeHub, tiny: Path) -> None:
    hub.add_repository("acme/gated", tiny, gated=True)
    with pytest.raises(GatedModelError, match="acme/gated is gated"):
        look_up("acme/gated")


def test_a_hub_that_cannot_be_reached_is_to_be_asked_again_later(tmp_path: Path) -> None:
    with FakeHub() as hub:
        look_up = HubLookUp(Settings(cache_dir=tmp_path / "cache"), hub.url)
    with pytest.raises(ModelLoadError, match="cannot be reached") as caught:
        look_up("acme/model")
    assert caught.value.retry_after_s == 10.0
