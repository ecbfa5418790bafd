"""Annotations as schemas, and the faults that they make of a param's value."""

import pytest

from barrage_mlflow.config import find_faults, read_config
from barrage_mlflow.config.annotations import annotation_schema

STRING, INTEGER = {"type": "string"}, {"type": "integer"}


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("int", INTEGER),
        ("None", {"type": "null"}),
        ("str | None", {"anyOf": [STRING, {"type": "null"}]}),
        ("Optional[int]", {"anyOf": [INTEGER, {"type": "null"}]}),
        ("typing.Union[int, str, int]", {"anyOf": [INTEGER, STRING]}),
        ("'int | str'", {"anyOf": [INTEGER, STRING]}),
        ("list[int]", {"type": "array", "items": INTEGER}),
        ("collections.abc.Sequence[str]", {"type": "array", "items": STRING}),
        ("tuple[int, int]", {"type": "array", "minItems": 2, "maxItems": 2, "items": INTEGER}),
        ("tuple[int, ...]", {"type": "array", "items": INTEGER}),
        ("Iterable[int]", {}),
        ("dict[str, Any]", {"type": "object"}),
        ("Mapping[str, int]", {"type": "object", "additionalProperties": INTEGER}),
        ("Literal['a', 3]", {"enum": ["a", 3]}),
        ("Literal['a'] | None", {"anyOf": [{"enum": ["a"]}, {"type": "null"}]}),
        ("Any", {}),
        ("Callable[[int], str]", {}),
        ("int | my.Own", {}),
        ("list[my.Own]", {"type": "array"}),
        ("3 +", {}),
        ("f(x)", {}),
    ],
)
def test_an_annotation_as_a_schema(text, schema):
    assert annotation_schema(text) == schema


SOURCE = """
from typing import Literal
from barrage_mlflow.dataset import RecordLoader

class Loader(RecordLoader):
    def __init__(self, mode, n: int = 0, rate: float = 1, names: list[str] = None,
                 how: Literal["crop", "pad"] = "crop", sizes: dict[str, int] | None = None,
                 size: tuple[int, int] = (1, 2), flag: bool = False, free=None):
        super().__init__(mode)
    def load(self, record): ...

def network(units: int, sizes: list[int] = ()): ...
"""


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    (tmp_path / "annotated.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))


def faults(network=None, **params):
    data = {
        "dataset": {"loader": {"import": "annotated.Loader", "params": params}},
        "model": {
            "network": {"import": "annotated.network", "params": network or {"units": 1}},
            "outputs": [{"name": "y", "loss": {"import": "mse"}}],
        },
    }
    place = "$.dataset.loader.params"
    return [str(fault).removeprefix(place) for fault in find_faults(read_config(data))]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"n": "3"}, ['.n: expected an integer, got "3"']),
        ({"n": True}, [".n: expected an integer, got true"]),
        ({"names": "a"}, ['.names: expected a list, got "a"']),
        ({"names": ["a", 3]}, [".names[1]: expected a string, got 3"]),
        ({"how": "corp"}, ['.how: expected "crop" or "pad", got "corp"; did you mean "crop"?']),
        ({"sizes": {"a": 1.5}}, [".sizes.a: expected an integer, got 1.5"]),
        ({"sizes": [1]}, [".sizes: expected an object or null, got a list"]),
        ({"size": [1, 2, 3]}, [".size: expected a list with 2 items, got 3"]),
        ({"n": "a", "flag": 0}, ['.n: expected an integer, got "a"',
                                 ".flag: expected true or false, got 0"]),
        ({"n": 3, "rate": 1, "names": [], "how": "pad", "sizes": {}, "size": [3, 4]}, []),
        ({"names": None, "sizes": None, "flag": True, "free": {"any": ["thing"]}}, []),
    ],
)  # fmt: skip
def test_values_against_annotations(params, expected):
    assert faults(**params) == expected


def test_a_placeholder_may_stand_for_any_param_of_the_network():
    network = {"units": "{{n}}", "sizes": "{{all}}", "n": 3, "all": [1]}
    assert faults(network) == []
    assert faults({"units": 1, "sizes": ["{{n}}"], "n": 2}) == []
    assert faults({"units": "three"}) == [
        '$.model.network.params.units: expected an integer, got "three"'
    ]
