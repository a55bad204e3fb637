"""YAML of settings: one reading for files and for --key=value, in both adapters."""

from pathlib import Path

import pytest

from mmbee_plugin.command.yaml_settings import parse_value, read_mapping
from mmbee_plugin.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", 0.001),
        (".5e-3", 0.0005),
        ("1E5", 100_000.0),
        ("-2.e+1", -20.0),
        ("1.0e-4", 0.0001),
        ("yes", True),
        ("off", False),
        ("~", None),
        ("1e", "1e"),
        ("u2a", "u2a"),
        ("{a: 1e-3}", {"a": 0.001}),
    ],
)
def test_values_of_arguments_and_files_are_the_same(tmp_path: Path, text: str, expected: object) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"key: {text}\n")
    for value in (parse_value(text, "--key"), read_mapping(path)["key"]):
        assert value == expected and type(value) is type(expected)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfepochs: 3\r\n")
    assert read_mapping(path) == {"epochs": 3}
    path.write_text("")
    assert read_mapping(path) == {}
    path.write_text("base: &base {a: 1, b: 2}\nmine: {<<: *base, b: 3}\n")
    assert read_mapping(path)["mine"] == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"epochs: 3\nseed: 1\nepochs: 5\n", "a.yaml, line 3: not valid YAML: 'epochs' is there twice"),
        (b"graph: {folds: 1, folds: 2}\n", "line 1: not valid YAML: 'folds' is there twice"),
        (b"train:\n\tepochs: 3\n", "line 2: not valid YAML"),
        (b"- 3\n", "should be lines of key: value, found a list"),
        (b"epochs\n", "should be lines of key: value, found a str"),
        (b"a: 1\n---\nb: 2\n", "not valid YAML"),
        (b"a: 2026-13-45\n", "not valid YAML"),
        (b"a: \xff\n", "not valid YAML"),
        (b"a: " + b"[" * 5000, "not valid YAML"),
        (b"a: !!python/object:os.system x\n", "line 1: not valid YAML"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_mapping(path)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_mapping(tmp_path / "b.yaml")


@pytest.mark.parametrize("text", ["{a: 1, a: 2}", "[1", "2026-13-45", "[" * 5000])
def test_a_bad_value_names_its_argument(text: str) -> None:
    with pytest.raises(InputError, match="--key=: the value is not valid YAML; quote it"):
        parse_value(text, "--key=")
