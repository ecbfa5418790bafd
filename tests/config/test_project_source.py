"""A project as its source describes it: the same as by importing it, and nothing of it is run."""

import logging
import sys
import textwrap
import types
from dataclasses import asdict

import pytest

from barrage_mlflow.config.import_strings import find_target
from barrage_mlflow.config.import_targets import ANYTHING
from barrage_mlflow.config.project_source import SourceReader, UnreadableError
from barrage_mlflow.errors import ImportPathError

PROJECT = {
    "zoo/__init__.py": """
        from .loading import Loader, Loader as Renamed
        from . import loading
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from nowhere_at_all import Thing
        """,
    "zoo/loading.py": '''
        """Loads."""
        from __future__ import annotations
        from collections.abc import Mapping
        from barrage_mlflow.dataset import RecordLoader as Base

        class Loader(Base):
            """Loads animals.

            And more.
            """
            def __init__(self, mode, columns: list[str], *, scale: float = 1.0, extra=None):
                super().__init__(mode)
            def load(self, record):
                return ({},)

        class Child(Loader):
            pass

        class Abstract(Base):
            pass

        class Handing(Loader):
            def __init__(self, mode, shift: int = 0, **kwargs):
                super().__init__(mode, scale=2.0, **kwargs)

        class Keeping(Loader):
            def __init__(self, mode, **kwargs):
                self.kwargs = kwargs
                super().__init__(mode, **kwargs)

        class Star(Base):
            def __init__(self, mode, *args, **kwargs):
                super().__init__(mode)
            def load(self, record):
                return ({},)
        ''',
    "zoo/parts.py": """
        import functools
        import keras
        import tensorflow as tf
        from tensorflow import keras as K
        from barrage_mlflow.dataset import RecordTransformer

        class Speaking(RecordTransformer):
            network_param_names = ("a", "b")
            fit = transform = postprocess = save = load = lambda self, *args: None

        class Inherits(Speaking): ...

        class Computed(Speaking):
            network_param_names = tuple("ab")

        class Layer(K.layers.Layer):
            def __init__(self, units, **kwargs):
                super().__init__(**kwargs)

        class Loss(tf.keras.losses.Loss):
            pass

        @keras.saving.register_keras_serializable("zoo")
        class Metric(keras.metrics.Mean):
            def __init__(self, name="zoo", **kwargs):
                super().__init__(name=name, **kwargs)

        def network(units, /, depth: int = 2, *, rate=0.5, **rest):
            ...

        @functools.cache
        def cached(a, b=(1, 2)):
            ...

        def replaced(a): ...
        def replaced(b, c): ...
        """,
    "plain.py": "class Nothing: ...\n",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes files of a project; those that are named are there from the start."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "barrage", raising=False)

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip("\n"))

    write(PROJECT)
    return write


def explained(path, kind, reader=None):
    """Form and arguments of a target, or the refusal."""
    try:
        target = find_target(path, kind, reader)
    except ImportPathError as refusal:
        return str(refusal)
    return {"form": target.form, **asdict(target.accepts)}


@pytest.mark.parametrize(
    ("path", "kind"),
    [("zoo.loading.Loader", "loader"), ("zoo.Loader", "loader"), ("zoo.Renamed", "loader"),
     ("zoo.loading.Child", "loader"), ("zoo.loading.Abstract", "loader"),
     ("zoo.loading.Star", "loader"), ("zoo.loading.Loader", "transformer"),
     ("zoo.loading.Loader", "augmentor"), ("zoo.loading.Lodaer", "loader"),
     ("zoo.laoding.Loader", "loader"), ("zooo.loading.Loader", "loader"),
     ("zoo.loading", "loader"), ("zoo.parts.Speaking", "transformer"),
     ("zoo.parts.network", "network"), ("zoo.parts.cached", "network"),
     ("zoo.parts.replaced", "network"), ("zoo.parts.Loss", "loss"),
     ("zoo.parts.Loss", "metric"), ("zoo.parts.Loss", "layer"), ("plain.Nothing", "loader")],
)  # fmt: skip
def test_reading_explains_what_importing_does(project, path, kind):
    read = explained(path, kind, SourceReader())
    assert path.split(".")[0] not in sys.modules
    assert read == explained(path, kind)


def test_arguments_that_are_handed_on_are_those_of_the_next_constructor(project):
    reader = SourceReader()
    handing = reader.target("zoo.loading.Handing").accepts
    assert handing.names == ("mode", "shift", "columns", "extra")
    assert handing.required == ("mode", "columns")
    assert handing.types == {"shift": "int", "columns": "list[str]"}
    assert handing.defaults == {"shift": 0, "extra": None}
    assert not handing.any_name
    assert reader.target("zoo.loading.Keeping").accepts.any_name
    layer = reader.target("zoo.parts.Layer").accepts
    assert layer.names[0] == "units"
    assert {"name", "dtype", "trainable"} <= set(layer.names)
    assert not layer.any_name
    assert reader.target("zoo.parts.Metric").accepts.names == ("name", "dtype")


def test_what_a_transformer_declares_and_what_a_class_lacks(project):
    reader = SourceReader()
    assert reader.target("zoo.parts.Inherits").network_param_names == ("a", "b")
    assert reader.target("zoo.parts.Computed").network_param_names is None
    assert reader.target("zoo.loading.Abstract").abstract == ("load",)
    assert reader.target("zoo.loading.Child").abstract == ()
    assert reader.target("zoo.Renamed").path == "zoo.loading.Loader"
    assert reader.target("zoo.loading.Loader").doc == "Loads animals."


UNCLEAR = """
import abc, dataclasses, functools, json
from nowhere import Base
from json import *
from zoo.loading import Loader
if json:
    def twice(a): ...
try:
    from json import loads as found
except ImportError:
    found = None
made = json.loads("3")
def decorated(a): ...
decorated = json.loads(decorated)
number = 3
class Lost(Base): ...
class Meta(metaclass=type(abc)): ...
class Both(Loader, abc.Mixin): ...
class Loader(Loader): ...
@dataclasses.dataclass
class Data:
    a: int
class New:
    def __new__(cls): ...
class Odd:
    __init__ = json.loads
class Handing(Odd):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
@functools.wraps(json.loads)
def wrapper(a): ...
"""


@pytest.mark.parametrize(
    "path",
    ["own.twice", "own.found", "own.made", "own.decorated", "own.number", "own.Lost", "own.Meta",
     "own.Both", "own.Loader", "own.of_the_star", "own.Data.inherited", "broken.f",
     "dynamic.anything", "circle.x", "json.scanner.c_make_scanner.x", "_json.scanstring"],
)  # fmt: skip
def test_what_only_importing_explains(project, path):
    project(
        {
            "own.py": UNCLEAR,
            "broken.py": "def f(:\n",
            "dynamic.py": "def __getattr__(name): ...\n",
            "circle/__init__.py": "from circle.a import x\n",
            "circle/a.py": "from circle import x\n",
        }
    )
    with pytest.raises(UnreadableError, match=r"\w"):
        SourceReader().target(path)


@pytest.mark.parametrize("name", ["Data", "New", "Odd", "Handing", "wrapper"])
def test_arguments_that_only_importing_explains(project, name):
    project({"own.py": UNCLEAR})
    assert SourceReader().target(f"own.{name}").accepts == ANYTHING


@pytest.mark.parametrize(
    "text",
    [
        "globals()['network'] = lambda units: None\n",
        "def keep(made): return lambda units: None\n@keep\ndef network(*rest): ...\n",
    ],
)
def test_what_cannot_be_read_is_announced_and_imported(project, caplog, text):
    caplog.set_level(logging.INFO)
    project({"own.py": text})
    sys.modules.pop("own", None)
    read = explained("own.network", "network", SourceReader())
    (record,) = caplog.records
    assert record.getMessage() == "importing own: only running it shows what own.network is"
    assert read["names"] == ("units",)


def test_a_module_without_a_file_is_imported(monkeypatch):
    module = types.ModuleType("by_hand")
    module.network = lambda units: None
    monkeypatch.setitem(sys.modules, "by_hand", module)
    assert explained("by_hand.network", "network", SourceReader())["names"] == ("units",)


def test_packages_without_an_init_file(project):
    project({"bare/inner/deep.py": "def f(a): ...\n"})
    assert SourceReader().target("bare.inner.deep.f").accepts.names == ("a",)
    assert explained("bare.inner.dep.f", "network", SourceReader()) == (
        "'bare.inner.dep.f' leads nowhere: 'bare.inner' has no 'dep'; did you mean 'deep'?"
    )
    assert "bare" not in sys.modules
