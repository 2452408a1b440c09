"""Estimates of models on this machine and at the hub, and what is learnt from loads."""

import asyncio
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from hostler.config import Settings
from hostler.memory import FootprintBasis
from hostler.models.convert import convert
from hostler.models.estimator import FootprintEstimator
from hostler.models.hub import HubAccess
from hostler.models.inspection import Inspector
from hostler.models.loader import load_model
from hostler.models.source import fetch
from hostler.registry import FolderSource, HubSource, ModelSpec, PackageSource, Source
from hostler.types import LoadProgress, ModelFacts
from tests.fake_hub import FakeHub
from tests.models.specs import spec_of
from tests.models.test_footprint_history import facts
from tests.tiny_gguf import write_gguf
from tests.tiny_models import build_tiny_model, save_as_pickle_repository

torch.set_num_threads(1)

REPO = "owner/tiny"
TOKEN = "hf_right0123456789"


def ignore_progress(_: LoadProgress) -> None:
    """For functions that report it."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny_model("llama_chat", tmp_path_factory.mktemp("llama"))


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "model"))


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as fake:
        yield fake


@pytest.fixture
def estimator(tmp_path: Path, hub: FakeHub) -> FootprintEstimator:
    return new_estimator(tmp_path, hub)


def new_estimator(tmp_path: Path, hub: FakeHub, token: str | None = None) -> FootprintEstimator:
    return FootprintEstimator(Settings(hostler_cache_dir=tmp_path / "hostler"), hub=access(tmp_path, hub, token))


def access(tmp_path: Path, hub: FakeHub, token: str | None = None) -> HubAccess:
    return HubAccess(cache_dir=tmp_path / "cache", token=token, endpoint=hub.url)


def folder_spec(folder: Path, file: str | None = None) -> ModelSpec:
    return spec_of(FolderSource(path=str(folder), file=file))


def memory_of(folder: Path) -> int:
    """Of the model's parameters in float32."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return sum(parameter.nbytes for parameter in model.parameters())


def split_weights(folder: Path) -> None:
    """Turn one file of weights into two and their index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(tensors)
    parts = [names[: len(names) // 2], names[len(names) // 2 :]]
    weight_map: dict[str, str] = {}
    for number, part in enumerate(parts, 1):
        shard = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / shard)
        weight_map |= dict.fromkeys(part, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


async def test_a_folder_s_weights_are_known_exactly(estimator: FootprintEstimator, folder: Path) -> None:
    footprint = (await estimator.estimate(folder_spec(folder), "cpu")).footprint
    assert footprint.basis is FootprintBasis.HEADERS
    assert footprint.weights_bytes == memory_of(folder)
    loaded = load_model(folder_spec(folder), fetch(folder_spec(folder), HubAccess(), ignore_progress), ignore_progress)
    buffers = sum(buffer.nbytes for buffer in loaded.model.buffers())
    assert footprint.weights_bytes == loaded.facts.memory_bytes - buffers


async def test_half_precision_takes_half(estimator: FootprintEstimator, folder: Path) -> None:
    full = (await estimator.estimate(folder_spec(folder), "cpu")).footprint
    spec = msgspec.structs.replace(folder_spec(folder), torch_dtype="bfloat16")
    half = (await estimator.estimate(spec, "cpu")).footprint
    assert 2 * half.weights_bytes == full.weights_bytes


async def test_split_weights_take_what_whole_ones_do(estimator: FootprintEstimator, folder: Path) -> None:
    whole = (await estimator.estimate(folder_spec(folder), "cpu")).footprint
    split_weights(folder)
    split = (await estimator.estimate(folder_spec(folder), "cpu")).footprint
    assert split == whole


async def test_a_model_at_the_hub_is_known_by_its_headers_without_a_download(
    estimator: FootprintEstimator, folder: Path, tmp_path: Path, hub: FakeHub
) -> None:
    hub.add_repository(REPO, folder)
    estimate = await estimator.estimate(spec_of(REPO), "cpu")
    assert estimate.footprint == (await estimator.estimate(folder_spec(folder), "cpu")).footprint
    assert not (tmp_path / "cache").exists()
    assert {request.method for request in hub.requests} == {"GET"}


async def test_shards_at_the_hub_are_counted_together(
    estimator: FootprintEstimator, folder: Path, hub: FakeHub
) -> None:
    expected = memory_of(folder)
    split_weights(folder)
    hub.add_repository(REPO, folder)
    footprint = (await estimator.estimate(spec_of(REPO), "cpu")).footprint
    assert (footprint.weights_bytes, footprint.basis) == (expected, FootprintBasis.HEADERS)


async def test_long_headers_are_read_to_their_end(estimator: FootprintEstimator, tmp_path: Path, hub: FakeHub) -> None:
    folder = tmp_path / "long"
    folder.mkdir()
    save_file({f"tensor.{number:0100d}": torch.zeros(1) for number in range(1000)}, folder / "model.safetensors")
    (folder / "config.json").write_text("{}")
    hub.add_repository(REPO, folder)
    footprint = (await estimator.estimate(spec_of(REPO), "cpu")).footprint
    assert (footprint.weights_bytes, footprint.basis) == (4000, FootprintBasis.HEADERS)


async def test_the_headers_of_a_commit_are_asked_for_once(
    estimator: FootprintEstimator, folder: Path, hub: FakeHub
) -> None:
    hub.add_repository(REPO, folder)
    first = await estimator.estimate(spec_of(REPO), "cpu")
    hub.requests.clear()
    assert await estimator.estimate(spec_of(REPO), "cpu") == first
    assert [request.path for request in hub.requests] == [f"/api/models/{REPO}"]


async def test_each_revision_has_its_own_estimate(
    estimator: FootprintEstimator, folder: Path, tmp_path: Path, hub: FakeHub
) -> None:
    hub.add_repository(REPO, folder)
    (tmp_path / "other").mkdir()
    save_file({"a": torch.zeros(10)}, tmp_path / "other" / "model.safetensors")
    (tmp_path / "other" / "config.json").write_text("{}")
    hub.add_repository(REPO, tmp_path / "other", revision="small")
    spec = spec_of(HubSource(repo_id=REPO, revision="small"))
    assert (await estimator.estimate(spec, "cpu")).footprint.weights_bytes == 40
    assert (await estimator.estimate(spec_of(REPO), "cpu")).footprint.weights_bytes == memory_of(folder)


async def test_pickles_at_the_hub_are_known_by_their_sizes_and_format(
    estimator: FootprintEstimator, folder: Path, hub: FakeHub
) -> None:
    save_as_pickle_repository(folder)
    hub.add_repository(REPO, folder)
    footprint = (await estimator.estimate(spec_of(REPO, torch_dtype="bfloat16"), "cpu")).footprint
    assert footprint.basis is FootprintBasis.FILES
    assert footprint.weights_bytes == (folder / "pytorch_model.bin").stat().st_size // 4 * 2


async def test_a_gated_model_without_a_token_is_known_by_its_sizes(
    estimator: FootprintEstimator, folder: Path, tmp_path: Path, hub: FakeHub
) -> None:
    hub.add_repository(REPO, folder, gated=True, token=TOKEN)
    footprint = (await estimator.estimate(spec_of(REPO), "cpu")).footprint
    assert footprint.basis is FootprintBasis.FILES
    allowed = (await new_estimator(tmp_path, hub, TOKEN).estimate(spec_of(REPO), "cpu")).footprint
    assert allowed.basis is FootprintBasis.HEADERS


async def test_a_token_is_shown_to_the_hub_and_nobody_is_asked_with_another(
    folder: Path, tmp_path: Path, hub: FakeHub
) -> None:
    hub.add_repository(REPO, folder, gated=True, token=TOKEN)
    await new_estimator(tmp_path, hub, TOKEN).estimate(spec_of(REPO), "cpu")
    assert {request.token for request in hub.requests} == {TOKEN}


@pytest.mark.parametrize("repo_id", ["owner/missing", "owner/empty"])
async def test_a_repository_without_a_model_is_judged_by_the_registered_size(
    repo_id: str, estimator: FootprintEstimator, tmp_path: Path, hub: FakeHub
) -> None:
    (tmp_path / "empty").mkdir()
    hub.add_repository("owner/empty", tmp_path / "empty")
    footprint = (await estimator.estimate(spec_of(repo_id, size="3M"), "cpu")).footprint
    assert (footprint.weights_bytes, footprint.basis) == (12_000_000, FootprintBasis.SIZE)


async def test_without_a_hub_the_registered_size_counts(tmp_path: Path, folder: Path) -> None:
    with FakeHub() as gone:
        estimator = new_estimator(tmp_path, gone)
    footprint = (await estimator.estimate(spec_of(REPO, size="3M"), "cpu")).footprint
    assert (footprint.weights_bytes, footprint.basis) == (12_000_000, FootprintBasis.SIZE)


async def test_offline_mode_asks_nobody(
    estimator: FootprintEstimator, folder: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add_repository(REPO, folder)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert (await estimator.estimate(spec_of(REPO), "cpu")).footprint.basis is FootprintBasis.SIZE
    assert hub.requests == []


async def test_a_gguf_file_s_estimate_is_the_same_before_and_after_its_conversion(
    estimator: FootprintEstimator, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "gguf").mkdir()
    write_gguf(folder, tmp_path / "gguf" / "tiny.gguf")
    spec = folder_spec(tmp_path / "gguf", "tiny.gguf")
    before = (await estimator.estimate(spec, "cpu")).footprint
    assert before == (await estimator.estimate(folder_spec(folder), "cpu")).footprint
    local = fetch(spec, HubAccess(), ignore_progress)
    convert(local, tmp_path / "hostler" / "converted", ignore_progress, name=spec.name)
    after = (await estimator.estimate(spec, "cpu")).footprint
    assert after == before


async def test_pickles_are_known_by_their_headers_once_they_are_converted(
    estimator: FootprintEstimator, folder: Path, tmp_path: Path
) -> None:
    expected = memory_of(folder)
    save_as_pickle_repository(folder)
    spec = folder_spec(folder)
    before = (await estimator.estimate(spec, "cpu")).footprint
    assert before.basis is FootprintBasis.FILES
    local = fetch(spec, HubAccess(), ignore_progress)
    convert(local, tmp_path / "hostler" / "converted", ignore_progress, name=spec.name)
    after = (await estimator.estimate(spec, "cpu")).footprint
    assert (after.basis, after.weights_bytes) == (FootprintBasis.HEADERS, expected)


@pytest.mark.parametrize("damage", ["model.safetensors", "config.json"])
async def test_damaged_files_are_judged_by_the_registered_size(
    damage: str, estimator: FootprintEstimator, folder: Path
) -> None:
    (folder / damage).write_text("[")
    footprint = (await estimator.estimate(folder_spec(folder), "cpu")).footprint
    assert footprint.basis is FootprintBasis.SIZE


@pytest.mark.parametrize(
    "source",
    [
        FolderSource(path="/nowhere"),
        PackageSource(package="no_such_package", file="a.gguf", otherwise=HubSource(repo_id="owner/missing")),
        HubSource(repo_id="owner/missing", file="a.gguf"),
    ],
)
async def test_models_that_are_nowhere_have_an_estimate(source: Source, estimator: FootprintEstimator) -> None:
    assert (await estimator.estimate(spec_of(source), "cpu")).footprint.basis is FootprintBasis.SIZE


async def test_a_gguf_file_at_the_hub_is_judged_by_the_registered_size(
    estimator: FootprintEstimator, folder: Path, hub: FakeHub
) -> None:
    write_gguf(folder, folder / "tiny.gguf")
    hub.add_repository(REPO, folder)
    spec = spec_of(HubSource(repo_id=REPO, file="tiny.gguf"), size="3M")
    footprint = (await estimator.estimate(spec, "cpu")).footprint
    assert (footprint.weights_bytes, footprint.basis) == (12_000_000, FootprintBasis.SIZE)


async def test_the_log_says_once_why_an_estimate_is_weak(
    estimator: FootprintEstimator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for _ in range(3):
        await estimator.estimate(spec_of("owner/missing"), "cpu")
    assert [record.getMessage() for record in caplog.records if "estimate_weak" in record.message] == [
        "estimate_weak model=tiny basis=size reason=RepositoryNotFoundError"
    ]


async def test_a_load_s_measurement_is_the_next_server_s_estimate(folder: Path, tmp_path: Path, hub: FakeHub) -> None:
    spec = folder_spec(folder)
    first = new_estimator(tmp_path, hub)
    estimate = await first.estimate(spec, "cpu")
    assert estimate.load_s is None
    await first.record(spec, estimate.footprint, facts(host_bytes=90_000_000, load_s=2.5))
    again = await new_estimator(tmp_path, hub).estimate(spec, "cpu")
    assert again.footprint.basis is FootprintBasis.MEASURED
    assert again.footprint.weights_bytes + again.footprint.process_bytes == 90_000_000
    assert again.footprint.kv_cache_bytes == estimate.footprint.kv_cache_bytes
    assert again.load_s == 2.5


async def test_a_load_without_a_measurement_tells_its_seconds(estimator: FootprintEstimator, folder: Path) -> None:
    spec = folder_spec(folder)
    before = await estimator.estimate(spec, "cpu")
    await estimator.record(spec, before.footprint, facts(host_bytes=0, load_s=2.5))
    after = await estimator.estimate(spec, "cpu")
    assert (after.footprint, after.load_s) == (before.footprint, 2.5)


async def test_a_measurement_holds_for_its_format_and_kind_of_device_alone(
    estimator: FootprintEstimator, folder: Path
) -> None:
    spec = folder_spec(folder)
    await estimator.record(spec, (await estimator.estimate(spec, "cpu")).footprint, facts())
    on_gpu = await estimator.estimate(spec, "cuda:0")
    in_half = await estimator.estimate(msgspec.structs.replace(spec, torch_dtype="float16"), "cpu")
    assert {on_gpu.footprint.basis, in_half.footprint.basis} == {FootprintBasis.HEADERS}


async def test_a_measurement_on_one_gpu_holds_for_another(estimator: FootprintEstimator, folder: Path) -> None:
    spec = folder_spec(folder)
    estimate = await estimator.estimate(spec, "cuda:0")
    on_gpu = msgspec.structs.replace(facts(host_bytes=500, device_bytes=900), device="cuda:0")
    await estimator.record(spec, estimate.footprint, on_gpu)
    footprint = (await estimator.estimate(spec, "cuda:1")).footprint
    assert (footprint.weights_bytes, footprint.process_bytes) == (900, 500)


async def test_a_measurement_is_forgotten_when_the_weights_change(estimator: FootprintEstimator, folder: Path) -> None:
    spec = folder_spec(folder)
    await estimator.record(spec, (await estimator.estimate(spec, "cpu")).footprint, facts())
    save_file({"a": torch.zeros(10)}, folder / "model.safetensors")
    assert (await estimator.estimate(spec, "cpu")).footprint.basis is FootprintBasis.HEADERS


async def test_what_was_measured_of_a_download_is_known_by_its_commit_elsewhere(
    folder: Path, tmp_path: Path, hub: FakeHub
) -> None:
    hub.add_repository(REPO, folder)
    estimator = new_estimator(tmp_path, hub)
    estimate = await estimator.estimate(spec_of(REPO), "cpu")
    fetch(spec_of(REPO), access(tmp_path, hub), ignore_progress)
    await estimator.record(spec_of(REPO), estimate.footprint, facts())
    shutil.rmtree(tmp_path / "cache")
    assert (await estimator.estimate(spec_of(REPO), "cpu")).footprint.basis is FootprintBasis.MEASURED


async def test_records_at_the_same_time_are_all_kept(
    estimator: FootprintEstimator, folder: Path, tmp_path: Path, hub: FakeHub
) -> None:
    specs = []
    for number in range(6):
        (tmp_path / f"model{number}").mkdir()
        save_file({"a": torch.zeros(10 + number)}, tmp_path / f"model{number}" / "model.safetensors")
        (tmp_path / f"model{number}" / "config.json").write_text("{}")
        specs.append(folder_spec(tmp_path / f"model{number}"))
    estimates = await asyncio.gather(*(estimator.estimate(spec, "cpu") for spec in specs))
    measured: list[ModelFacts] = [facts(host_bytes=1000 + number) for number in range(6)]
    await asyncio.gather(
        *(
            estimator.record(spec, estimate.footprint, found)
            for spec, estimate, found in zip(specs, estimates, measured, strict=True)
        )
    )
    again = new_estimator(tmp_path, hub)
    for number, spec in enumerate(specs):
        footprint = (await again.estimate(spec, "cpu")).footprint
        assert footprint.weights_bytes + footprint.process_bytes == 1000 + number


async def test_an_estimate_does_not_wait_for_a_disk_that_hangs(
    folder: Path, tmp_path: Path, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = threading.Event()
    monkeypatch.setattr(Inspector, "inspect", lambda *_: may_end.wait())
    settings = Settings(hostler_cache_dir=tmp_path / "hostler")
    estimator = FootprintEstimator(settings, hub=access(tmp_path, hub), timeout_s=0.05)
    try:
        estimate = await estimator.estimate(folder_spec(folder), "cpu")
        await estimator.record(folder_spec(folder), estimate.footprint, facts())
    finally:
        may_end.set()
    assert estimate.footprint.basis is FootprintBasis.SIZE
