"""Reading YAML with the line of every key."""

from pathlib import Path

import pytest

from hostler.errors import ConfigError
from hostler.yaml_file import YamlFile, read_yaml


def read_text(folder: Path, text: str) -> YamlFile:
    path = folder / "models.yaml"
    path.write_text(text, encoding="utf-8")
    return read_yaml(path)


def test_every_key_and_list_item_knows_its_line(tmp_path: Path) -> None:
    file = read_text(tmp_path, "a:\n  b: 1\n\n  c:\n    - x\n    - y\n")

    assert file.content == {"a": {"b": 1, "c": ["x", "y"]}}
    assert file.lines == {("a",): 1, ("a", "b"): 2, ("a", "c"): 4, ("a", "c", 0): 5, ("a", "c", 1): 6}


def test_an_error_names_file_line_and_key(tmp_path: Path) -> None:
    file = read_text(tmp_path, "a:\n  b: 1\n")

    assert str(file.error(("a", "b"), "is odd")) == f"{file.path}, line 2: a.b: is odd"


def test_an_error_about_an_absent_key_points_at_what_encloses_it(tmp_path: Path) -> None:
    file = read_text(tmp_path, "x: 1\na:\n  b: 1\n")

    assert "line 2: a.c.d:" in str(file.error(("a", "c", "d"), "is missing"))
    assert "line 1: y:" in str(file.error(("y",), "is missing"))


def test_an_empty_file_is_an_empty_mapping(tmp_path: Path) -> None:
    assert read_text(tmp_path, "# nothing yet\n").content == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1, 2", "line 1: is not valid YAML"),
        ("a: 1\n\tb: 2\n", "line 2: is not valid YAML"),
        ("a: 1\n---\nb: 2\n", "line 2: is not valid YAML"),
        ("- a\n- b\n", "line 1: the top level must be a mapping"),
        ("a: 1\nb: 2\na: 3\n", "line 3: a: stands twice, first on line 1"),
        ("m:\n  a: 1\n  a: 1\n", "line 3: a: stands twice, first on line 2"),
        ("a: !!python/object/apply:os.getcwd []\n", "line 1: is not valid YAML"),
        ("a: 2026-13-45\n", "is not valid YAML"),
        ("a: \x00\n", "is not valid YAML"),
        ("[" * 1500, "is not valid YAML"),
        ("? [a]\n: 1\n", "is not valid YAML"),
    ],
)
def test_what_is_no_mapping_is_refused_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_text(tmp_path, text)

    assert expected in caught.value.message
    assert str(tmp_path / "models.yaml") in caught.value.message
    assert "\n" not in caught.value.message


def test_bytes_that_are_no_utf8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_bytes(b"a: \xff\xfe\n")

    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read_yaml(path)


def test_a_missing_file_is_named_with_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read .*MODEL_CONFIG_PATH"):
        read_yaml(tmp_path / "none.yaml")


def test_an_alias_of_itself_is_read_without_end_of_stack(tmp_path: Path) -> None:
    file = read_text(tmp_path, "a: &a\n  again: *a\n")

    assert file.lines[("a", "again")] == 2


def test_aliases_of_aliases_cost_no_more_than_the_text(tmp_path: Path) -> None:
    rows = ["l0: &l0 {x: 1}"] + [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 9)}]" for i in range(1, 12)]

    assert len(read_text(tmp_path, "\n".join(rows)).lines) < 200


def test_merged_keys_are_part_of_the_content(tmp_path: Path) -> None:
    file = read_text(tmp_path, "base: &base\n  x: 1\na:\n  <<: *base\n  y: 2\n")

    assert file.content["a"] == {"x": 1, "y": 2}
