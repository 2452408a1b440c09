"""Settings: where each comes from, and how a wrong one is refused."""

import logging
from pathlib import Path

import pytest

from hostler.config import Settings, is_loopback, load_settings
from hostler.errors import ConfigError
from hostler.yaml_file import YamlFile, read_yaml


@pytest.fixture(autouse=True)
def _no_settings_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*Settings.model_fields, "auto_unload_minutes", "transformers_cache"):
        monkeypatch.delenv(name.upper(), raising=False)


def settings_file(folder: Path, *lines: str) -> YamlFile:
    path = folder / "models.yaml"
    path.write_text("settings:\n" + "".join(f"  {line}\n" for line in lines), encoding="utf-8")
    return read_yaml(path)


def test_defaults_are_those_of_the_contract() -> None:
    settings = load_settings(None)

    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert (settings.max_concurrent_models, settings.auto_unload_after_minutes) == (3, 30.0)
    assert (settings.default_device, settings.torch_dtype) == ("auto", "auto")
    assert (settings.default_max_length, settings.log_level, settings.log_model_loading) == (100, "INFO", True)
    assert settings.cors_origins == []
    assert settings.api_key is None


def test_the_command_line_beats_the_environment_beats_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = settings_file(tmp_path, "port: 1", "max_num_seqs: 2", "default_max_length: 3")
    monkeypatch.setenv("PORT", "10")
    monkeypatch.setenv("MAX_NUM_SEQS", "20")

    settings = load_settings(file, {"port": 100, "host": None})

    assert (settings.port, settings.max_num_seqs, settings.default_max_length) == (100, 20, 3)
    assert settings.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("AUTO_UNLOAD_MINUTES", "7", "auto_unload_after_minutes", 7.0),
        ("AUTO_UNLOAD_AFTER_MINUTES", "7", "auto_unload_after_minutes", 7.0),
        ("TRANSFORMERS_CACHE", "/tmp/hub", "cache_dir", Path("/tmp/hub")),
        ("CACHE_DIR", "/tmp/hub", "cache_dir", Path("/tmp/hub")),
        ("CORS_ORIGINS", "http://a, http://b,", "cors_origins", ["http://a", "http://b"]),
        ("ALLOWED_HOSTS", "*", "allowed_hosts", ["*"]),
        ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
        ("ENABLE_METRICS", "false", "enable_metrics", False),
        ("DEFAULT_MODEL", "gpt2", "default_model", "gpt2"),
    ],
)
def test_every_old_variable_is_read_and_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, field: str, expected: object
) -> None:
    file = settings_file(tmp_path, "auto_unload_after_minutes: 99", "cache_dir: /elsewhere", "log_level: ERROR")
    monkeypatch.setenv(variable, value)

    assert getattr(load_settings(file), field) == expected


def test_an_empty_variable_is_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "")
    monkeypatch.setenv("PORT", "")

    settings = load_settings(None)

    assert settings.api_key is None
    assert settings.port == 8000


@pytest.mark.parametrize(("minutes", "keep_alive_s"), [("0.5", 30.0), ("0", None), ("-1", None)])
def test_no_idle_minutes_mean_that_models_stay(
    monkeypatch: pytest.MonkeyPatch, minutes: str, keep_alive_s: float | None
) -> None:
    monkeypatch.setenv("AUTO_UNLOAD_MINUTES", minutes)

    assert load_settings(None).keep_alive_s == keep_alive_s


def test_paths_may_start_at_home(tmp_path: Path) -> None:
    assert load_settings(settings_file(tmp_path, "cache_dir: ~/hub")).cache_dir == Path("~/hub").expanduser()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("port: eighty", "line 2: settings.port:"),
        ("prot: 80", "line 2: settings.prot: is not a setting; did you mean 'port'"),
        ("api_key: abc", "line 2: settings.api_key: a secret does not belong into the file; set API_KEY instead"),
        ("torch_dtype: int8", "line 2: settings.torch_dtype:"),
        ("max_concurrent_models: 0", "line 2: settings.max_concurrent_models:"),
        ("auto_unload_after_minutes: soon", "line 2: settings.auto_unload_after_minutes:"),
        ("workers: 4", "line 2: settings.workers: must be 1, not 4"),
        ("cors_origins: {a: 1}", "line 2: settings.cors_origins:"),
    ],
)
def test_a_wrong_line_of_the_file_is_named(tmp_path: Path, line: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(settings_file(tmp_path, line))

    assert expected in caught.value.message


def test_settings_that_are_no_mapping_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("settings: [1]\n")

    with pytest.raises(ConfigError, match="line 1: settings: must be a mapping"):
        load_settings(read_yaml(path))


def test_a_section_or_value_left_empty_means_the_default(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("settings:\n")

    assert load_settings(read_yaml(path)).port == 8000
    assert load_settings(settings_file(tmp_path, "cache_dir:", "port: null")).port == 8000


def test_a_wrong_variable_is_named_even_where_the_file_has_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTO_UNLOAD_MINUTES", "soon")

    with pytest.raises(ConfigError, match="environment variable AUTO_UNLOAD_MINUTES:"):
        load_settings(settings_file(tmp_path, "auto_unload_after_minutes: 5"))


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^port: "):
        load_settings(None, {"port": 70000})


def test_a_host_that_others_reach_needs_a_key_or_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"host 0\.0\.0\.0 .*API_KEY.*INSECURE_NO_AUTH=1"):
        load_settings(None, {"host": "0.0.0.0"})

    assert load_settings(None, {"host": "0.0.0.0", "insecure_no_auth": True}).api_key is None
    monkeypatch.setenv("API_KEY", "secret")
    assert load_settings(None, {"host": "0.0.0.0"}).host == "0.0.0.0"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.9", True), ("::1", True), ("0.0.0.0", False), ("::", False), ("box.lan", False)],
)
def test_loopback_is_this_machine_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "key-value")
    monkeypatch.setenv("HF_TOKEN", "token-value")

    shown = repr(load_settings(None))

    assert "key-value" not in shown
    assert "token-value" not in shown


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("max_batch_size: 4", "max_num_seqs"),
        ("memory_cleanup_interval_minutes: 5", "process ends"),
        ("low_cpu_mem_usage: true", "always mapped"),
    ],
)
def test_a_key_without_effect_is_accepted_with_what_took_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str, instead: str
) -> None:
    with caplog.at_level(logging.WARNING):
        load_settings(settings_file(tmp_path, line))

    assert line.split(":")[0] in caplog.text
    assert instead in caplog.text
