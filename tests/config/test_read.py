"""Reading configs: JSON and YAML with places, dicts, and everything that is neither."""

import enum
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barrage_mlflow.config import read_config
from barrage_mlflow.config.document import Document
from barrage_mlflow.config.read import read_json
from barrage_mlflow.config.yaml_reader import read_yaml
from barrage_mlflow.errors import ConfigError

BAD_TEXTS = Path(__file__).parent / "golden" / "bad_texts.json"

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


def message(text, name="config.json"):
    reader = read_yaml if name.endswith("yaml") else read_json
    with pytest.raises(ConfigError, match=name) as caught:
        reader(text, name)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_json_places():
    text = '{\n  "model": {"outputs": [\n    {"name": "y"}, 3]},\r\n\t"solver":\n 7}'
    document = read_json(text, "c.json")
    assert document.data == {"model": {"outputs": [{"name": "y"}, 3]}, "solver": 7}
    assert document.text == text
    assert document.source == "c.json"
    assert document.place(()) == "c.json:1:1"
    assert document.place(("model", "outputs", 0)) == "c.json:3:5"
    assert document.place(("model", "outputs", 0, "name")) == "c.json:3:14"
    assert document.place(("model", "outputs", 0, "name"), key=True) == "c.json:3:6"
    assert document.place(("model", "outputs", 1)) == "c.json:3:20"
    assert document.place(("solver",)) == "c.json:5:2"
    assert document.place(("solver",), key=True) == "c.json:4:2"


def test_a_path_that_is_not_there_stands_where_its_parent_stands():
    document = read_json('{"a":\n {"b": 1}}', "c.json")
    assert document.place(("a", "c", 0)) == "c.json:2:2"
    assert document.place(("z",), key=True) == "c.json:1:1"
    assert Document({}).place(("a",)) == ""
    # A character that YAML knows not.
    assert read_json('{"\x7f": 1}', "c.json").place(("\x7f",)) == "c.json:1:1"


def test_a_key_that_json_escapes_has_its_place():
    document = Document({}, "c.json", '{"a": 1,\n "\\ud83e\\udd9c": {"\\ud83e": 2}}')
    assert document.place(("\U0001f99c",), key=True) == "c.json:2:2"
    assert document.place(("\U0001f99c", "\ud83e")) == "c.json:2:29"


@given(JSON_VALUES)
def test_reads_all_that_the_standard_library_writes(value):
    for text in (json.dumps(value), json.dumps(value, indent=2, ensure_ascii=False)):
        assert read_json(text, "c.json").data == value


@given(st.text())
def test_takes_no_text_that_the_standard_library_refuses(text):
    try:
        expected = json.loads(text)
    except (ValueError, RecursionError):
        with pytest.raises(ConfigError, match=r"not JSON|deeper"):
            read_json(text, "c.json")
    else:
        # What may be out of range, or no number at all.
        if not re.search(r"NaN|Infinity|\\u|[0-9]{19}|[0-9][eE]", text):
            assert read_json(text, "c.json").data == expected


def test_text_that_is_no_config():
    for name, text, expected in json.loads(BAD_TEXTS.read_text("utf-8")):
        assert message(text, name) == expected


@pytest.mark.parametrize("name", ["config.json", "config.yaml"])
def test_text_that_is_too_deep_or_too_much(name):
    reader = read_yaml if name.endswith("yaml") else read_json
    assert reader("[" * 101 + "]" * 101, name).data
    for depth in (102, 5_000):
        assert message("[" * depth + "]" * depth, name).endswith("nested deeper than 100 levels")
    assert "number out of range" in message(f"[{'1' * 900}]", name)
    assert message(f"[{'1' * 5000}]", name).partition("$: ")[2].startswith("not ")


def test_escapes_are_read():
    assert read_json(r'["\ud83d\ude00", "\u00e9\/\b\f\n\r\t\"\\"]', "").data == [
        "😀",
        'é/\b\f\n\r\t"\\',
    ]


def test_yaml_follows_the_core_schema_of_1_2():
    text = (
        "a: [1e-3, .5, -2, 0o17, 0x1F, +3, 1., 6.02E+23]\n"
        "b: [true, False, null, ~, ]\n"
        "c: [yes, on, 2026-01-01, 1_000, '3', \"true\", 12:30:45, !!str 3]\n"
        "d:\n"
        "e: &x {k: 1}\n"
        "f: *x\n"
    )
    document = read_yaml(text, "c.yaml")
    assert document.data == {
        "a": [1e-3, 0.5, -2, 15, 31, 3, 1.0, 6.02e23],
        "b": [True, False, None, None],
        "c": ["yes", "on", "2026-01-01", "1_000", "3", "true", "12:30:45", "3"],
        "d": None,
        "e": {"k": 1},
        "f": {"k": 1},
    }
    assert document.place(("a", 1)) == "c.yaml:1:11"
    assert document.place(("e", "k")) == "c.yaml:5:11"
    assert document.place(("f",), key=True) == "c.yaml:6:1"
    assert document.text == text


@given(JSON_VALUES)
def test_yaml_reads_json(value):
    text = json.dumps(value)
    if "\\u007f" not in text and all(c.isprintable() for c in text):
        assert read_yaml(text, "c.yaml").data == value


def test_yaml_with_control_characters():
    assert message("a: \x00", "config.yaml").startswith("config.yaml  $: not YAML: unacceptable")


def write(tmp_path, content, name="config.json"):
    (tmp_path / name).write_bytes(content)
    return name


def refusal(source):
    with pytest.raises(ConfigError, match=": ") as caught:
        read_config(source)
    return str(caught.value)


def test_reads_json_and_yaml_files_by_their_suffix(tmp_path):
    write(tmp_path, b'{"a": 1}')
    write(tmp_path, b"a: 1", "config.yaml")
    write(tmp_path, b"a: 1", "config.YML")
    assert read_config("config.json").data == {"a": 1}
    assert read_config(tmp_path / "config.yaml").source == str(tmp_path / "config.yaml")
    assert read_config("config.YML").place(("a",)) == "config.YML:1:4"


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    def denied(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    write(tmp_path, b"{}")
    assert refusal("confg.json") == "confg.json: no such file; did you mean 'config.json'?"
    assert refusal("zzz") == "zzz: no such file"
    assert refusal("no/config.json") == "no/config.json: no such file; there is no folder 'no'"
    (tmp_path / "folder").mkdir()
    assert refusal("folder") == "folder: cannot be read: Is a directory"
    assert refusal("a\0b").endswith(": cannot be read: embedded null byte")
    monkeypatch.setattr(Path, "open", denied)
    assert refusal("config.json") == "config.json: cannot be read: Permission denied"
    assert refusal("") == "$: expected a config file or a dict, got no name of a file"
    assert refusal(None) == "$: expected a config file or a dict, got null"


def test_files_that_hold_no_text(tmp_path):
    write(tmp_path, b'\xef\xbb\xbf{"a": 1}', "bom.json")
    assert read_config("bom.json").data == {"a": 1}
    write(tmp_path, b'{"a":\n "\xc3\xa9\xff"}', "latin.json")
    assert refusal("latin.json") == "latin.json:2: not UTF-8 text; save it as UTF-8"


def test_a_dict_is_copied_as_plain_json():
    class Colour(str, enum.Enum):  # noqa: UP042
        RED = "red"

    given = {"a": {"b": [1, (2.5, None)]}, "c": Colour.RED, "d": np.float64(0.5)}
    document = read_config(given)
    assert document.data == {"a": {"b": [1, [2.5, None]]}, "c": "red", "d": 0.5}
    assert [type(document.data[key]) for key in "cd"] == [str, float]
    document.data["a"]["b"].append(9)
    assert given["a"]["b"] == [1, (2.5, None)]
    assert json.loads(read_config({"a": "é"}).text) == {"a": "é"}
    assert read_config(document) is document


def test_a_dict_with_what_json_cannot_hold():
    circle = {}
    circle["circle"] = circle
    given = {
        "a": float("nan"),
        "b": [float("inf")],
        "c": {1: 2},
        "d": np.int64(3),
        "e": object,
        "f": 2**70,
        "g": "\ud800",
        "h": {"\ud800": 1},
    }
    assert refusal(given) == (
        "$.a: expected a finite number, got nan\n"
        "$.b[0]: expected a finite number, got inf\n"
        "$.c: keys must be strings, got 1; put it in quotes\n"
        "$.d: expected a JSON value, got a Python int64; convert it with .item() or .tolist()\n"
        "$.e: expected a JSON value, got a Python type\n"
        "$.f: number out of range: an integer of 71 bits\n"
        "$.g: expected Unicode text, got surrogate halves\n"
        "$.h: expected Unicode text, got surrogate halves"
    )
    assert refusal(circle) == "$.circle.circle.circle: nested deeper than 100 levels"


def test_reading_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from barrage_mlflow.config.overrides import apply_overrides\n"
        "from barrage_mlflow.config.read import read_config\n"
        "apply_overrides(read_config({}), {'solver.epochs': '3'})\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'pandas', 'numpy', 'jsonschema', 'yaml'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
