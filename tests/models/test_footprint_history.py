"""What loads have taken is remembered, whatever happens to the file."""

import threading
from pathlib import Path

import pytest

from hostler.memory import Footprint, FootprintBasis
from hostler.models import footprint_history
from hostler.models.footprint import Measurement
from hostler.models.footprint_history import FILE_NAME, FootprintHistory, LoadRecord, estimate_ratio
from hostler.types import ChatFormat, ModelFacts

FOOTPRINT = Footprint(
    weights_bytes=800,
    kv_cache_bytes=5000,
    workspace_bytes=300,
    process_bytes=100,
    basis=FootprintBasis.HEADERS,
)


def facts(host_bytes: int = 1000, device_bytes: int = 0, load_s: float = 1.5) -> ModelFacts:
    return ModelFacts(
        architecture="Tiny",
        is_encoder_decoder=False,
        chat_format=ChatFormat.PLAIN,
        dtype="float32",
        device="cpu",
        max_model_len=100,
        num_parameters=10,
        num_trainable_parameters=10,
        memory_bytes=40,
        load_s=load_s,
        host_bytes=host_bytes,
        bytes_by_device={"cuda:0": device_bytes} if device_bytes else {},
    )


def record(host_bytes: int = 1000, load_s: float = 1.5) -> LoadRecord:
    return LoadRecord.of(FOOTPRINT, facts(host_bytes, load_s=load_s))


def test_a_record_outlives_the_server(tmp_path: Path) -> None:
    FootprintHistory(tmp_path / "new").add("key", record())
    found = FootprintHistory(tmp_path / "new").find("key")
    assert found == record()
    assert found is not None
    assert found.measurement == Measurement(host_bytes=1000, device_bytes=0)
    assert (found.estimated_bytes, found.basis, found.load_s) == (900, FootprintBasis.HEADERS, 1.5)


@pytest.mark.parametrize(
    ("measured", "expected"),
    [([1, 2], 2), ([2, 1], 2), ([10, 900, 11], 11), ([900, 10, 11, 12], 11), ([10, 0], 10), ([5, 0, 0, 0], 0)],
)
def test_the_middle_one_of_the_last_three_loads_counts(tmp_path: Path, measured: list[int], expected: int) -> None:
    history = FootprintHistory(tmp_path)
    for host_bytes in measured:
        history.add("key", record(host_bytes))
    assert FootprintHistory(tmp_path).find("key") == record(expected)


@pytest.mark.parametrize(("seconds", "expected"), [([90.0], 90.0), ([90.0, 1.0], 1.0), ([3.0, 90.0, 2.0], 3.0)])
def test_one_slow_load_among_the_last_is_not_expected_again(
    tmp_path: Path, seconds: list[float], expected: float
) -> None:
    history = FootprintHistory(tmp_path)
    for load_s in seconds:
        # The slow one has the middle of the sizes, too.
        history.add("key", record(2 if load_s == 90.0 else int(load_s), load_s))
    found = history.find("key")
    assert found is not None
    assert found.load_s == expected


def test_nothing_is_known_of_what_was_never_loaded(tmp_path: Path) -> None:
    assert FootprintHistory(tmp_path).find("key") is None


def test_a_load_whose_memory_was_not_measured_tells_its_seconds_alone(tmp_path: Path) -> None:
    history = FootprintHistory(tmp_path)
    history.add("key", record(0))
    found = history.find("key")
    assert found is not None
    assert (found.measurement, found.load_s) == (None, 1.5)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"key": 3}', b"\xff\xfe", b" " * (2**20 + 1)])
def test_a_damaged_file_counts_as_empty_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    history = FootprintHistory(tmp_path)
    assert history.find("key") is None
    history.add("key", record())
    assert FootprintHistory(tmp_path).find("key") == record()


def test_records_stay_in_memory_where_no_file_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    history = FootprintHistory(tmp_path / "file" / "cache")
    history.add("key", record())
    assert history.find("key") == record()


def test_the_oldest_records_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footprint_history, "MAX_KEYS", 3)
    history = FootprintHistory(tmp_path)
    for number in range(3):
        history.add(f"key{number}", record())
    history.add("key0", record(7))
    history.add("key3", record())
    again = FootprintHistory(tmp_path)
    assert [f"key{number}" for number in range(4) if again.find(f"key{number}") is None] == ["key1"]


def test_records_of_two_servers_come_together(tmp_path: Path) -> None:
    one, other = FootprintHistory(tmp_path), FootprintHistory(tmp_path)
    assert one.find("a") is None
    assert other.find("a") is None
    one.add("a", record(1))
    other.add("b", record(2))
    one.add("c", record(3))
    again = FootprintHistory(tmp_path)
    assert [again.find(key) for key in "abc"] == [record(1), record(2), record(3)]


def test_no_record_is_lost_among_threads(tmp_path: Path) -> None:
    history = FootprintHistory(tmp_path)
    threads = [threading.Thread(target=history.add, args=(f"key{number}", record(number))) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = FootprintHistory(tmp_path)
    assert [again.find(f"key{number}") for number in range(20)] == [record(number) for number in range(20)]
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_the_ratio_compares_what_is_there_just_after_a_load() -> None:
    assert estimate_ratio(FOOTPRINT, facts(host_bytes=1000)) == 0.9
    assert estimate_ratio(FOOTPRINT, facts(host_bytes=400, device_bytes=500)) == 1.0
    assert estimate_ratio(FOOTPRINT, facts(host_bytes=0)) is None
