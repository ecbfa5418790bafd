"""What source code tells of a project, without running it: the same as running it does."""

import subprocess
import sys
import types
from dataclasses import fields

import pytest
from barrage_mlflow.config.definitions import define, defined_in
from barrage_mlflow.config.source_code import (
    CannotTellError,
    NotThereError,
    find,
    find_module,
)

from barrage_mlflow.config import find_faults, read_config
from barrage_mlflow.config.imports import find_target
from barrage_mlflow.config.targets import NotImportableError

PROJECT = {
    "zoo/__init__.py": """
        from .loading import Loader, Loader as Renamed
        from . import loading
        from zoo.parts import *
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

        NAMES = ("a", "b")
        NUMBER = 3
        made = functools.partial(int, "3")

        class Speaking(RecordTransformer):
            network_param_names = NAMES
            fit = transform = postprocess = save = load = lambda self, *args: None

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

        def jitter(data_record, scale: "float | None" = None, rng=None):
            ...

        @functools.cache
        def cached(a, b=(1, 2)):
            ...

        if NUMBER > 2:
            def twice(a): ...
        else:
            def twice(a, b): ...

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
            lines = text.lstrip("\n").splitlines()
            margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(line[margin:] for line in lines) + "\n")

    write(PROJECT)
    yield write
    for name in [name for name in sys.modules if name.split(".")[0] in ("zoo", "plain", "own")]:
        del sys.modules[name]


def told(path, kind, run_code):
    """Form and arguments of a target, or the refusal."""
    try:
        target = find_target(path, kind, run_code=run_code)
    except NotImportableError as refusal:
        return str(refusal)
    return {"form": target.form} | {
        field.name: getattr(target.accepts, field.name) for field in fields(target.accepts)
    }


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("zoo.loading.Loader", "loader"),
        ("zoo.Loader", "loader"),
        ("zoo.Renamed", "loader"),
        ("zoo.loading.Child", "loader"),
        ("zoo.loading.Abstract", "loader"),
        ("zoo.loading.Star", "loader"),
        ("zoo.loading.Loader", "transformer"),
        ("zoo.loading.Loader", "augmentor"),
        ("zoo.loading.Lodaer", "loader"),
        ("zoo.laoding.Loader", "loader"),
        ("zooo.loading.Loader", "loader"),
        ("zoo.loading", "loader"),
        ("zoo.parts.Speaking", "transformer"),
        ("zoo.Speaking", "transformer"),
        ("zoo.parts.NUMBER", "network"),
        ("zoo.parts.network", "network"),
        ("zoo.network", "network"),
        ("zoo.parts.jitter", "augmentor"),
        ("zoo.parts.cached", "network"),
        ("zoo.parts.replaced", "network"),
        ("zoo.parts.Loss", "loss"),
        ("zoo.parts.Loss", "metric"),
        ("zoo.parts.Loss", "layer"),
        ("plain.Nothing", "layer"),
        ("plain.Nothing", "loader"),
        ("barrage.dataset.KeySelector", "loader"),
        ("KeySelector", "loader"),
        ("IdentityTransformer", "transformer"),
        ("Records", "loader"),
        ("KeySelecter", "loader"),
        ("barrage_mlflow.dataset.RecordLoader", "loader"),
    ],
)
def test_reading_tells_what_running_does(project, path, kind):
    read = told(path, kind, run_code=False)
    top = path.split(".")[0]
    assert top not in sys.modules or top.startswith("barrage")
    assert read == told(path, kind, run_code=True)


def test_arguments_that_are_handed_on_are_those_of_the_next_constructor(project):
    handing = define("zoo.loading.Handing").accepts
    assert handing.names == ("mode", "shift", "columns", "extra")
    assert handing.required == ("mode", "columns")
    assert handing.types == {"shift": "int", "columns": "list[str]"}
    assert handing.defaults == {"shift": 0, "extra": None}
    assert not handing.any_name
    assert define("zoo.loading.Keeping").accepts.any_name
    layer = define("zoo.parts.Layer").accepts
    assert layer.names[0] == "units"
    assert {"name", "dtype", "trainable"} <= set(layer.names)
    assert not layer.any_name
    assert define("zoo.parts.Metric").accepts.names == ("name", "dtype")


@pytest.mark.parametrize(
    "path", ["zoo.parts.made", "zoo.parts.twice", "json.scanner.c_make_scanner.x"]
)
def test_what_only_running_tells(project, path):
    with pytest.raises(CannotTellError, match=path.split(".")[0]):
        define(path)


def test_a_name_that_is_made_at_run_time_is_imported_after_all(project):
    project({"own.py": "globals()['Made'] = lambda units: None\n"})
    assert told("own.Made", "network", run_code=False) == told("own.Made", "network", run_code=True)
    assert "own" in sys.modules


def test_a_module_without_a_file_is_imported_after_all(monkeypatch):
    module = types.ModuleType("by_hand")
    module.network = lambda units: None
    monkeypatch.setitem(sys.modules, "by_hand", module)
    read = told("by_hand.network", "network", run_code=False)
    assert read["names"] == ("units",)
    assert read == told("by_hand.network", "network", run_code=True)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(:\n", "SyntaxError: invalid syntax (own.py, line 1)"),
        ("import no_such_package\n", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("from no_such import x\n", "ModuleNotFoundError: No module named 'no_such'"),
        ("from plain import Missing\n", "ImportError: cannot import name 'Missing' from 'plain'"),
        ("import zoo.missing\n", "ModuleNotFoundError: No module named 'zoo.missing'"),
    ],
)
def test_a_module_that_cannot_be_imported_is_found_by_reading(project, source, expected):
    project({"own.py": source})
    read = told("own.Loader", "loader", run_code=False)
    assert "own" not in sys.modules
    ran = told("own.Loader", "loader", run_code=True)
    assert read.startswith(f"'own.Loader': importing module 'own' raised {expected}")
    assert ran.startswith(f"'own.Loader': importing module 'own' raised {expected}")


def test_the_old_package_is_named_by_reading(project):
    project({"own.py": "from barrage.dataset import RecordLoader\n"})
    read = told("own.Loader", "loader", run_code=False)
    assert read == told("own.Loader", "loader", run_code=True)
    assert read == (
        "'own.Loader': module 'own' imports 'barrage', the package of old; write "
        "'import barrage_mlflow' there instead"
    )


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import no_such_package\nexcept ImportError:\n    pass\ndef f(a): ...\n",
        "def f(a):\n    import no_such_package\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import no_such\ndef f(a): ...\n",
        "if __name__ == '__main__':\n    import no_such_package\ndef f(a): ...\n",
    ],
)
def test_an_import_that_need_not_succeed_is_no_fault(project, source):
    project({"own.py": source})
    assert told("own.f", "network", run_code=False) == told("own.f", "network", run_code=True)


def test_a_file_that_changes_is_read_again(project):
    project({"own.py": "def f(a): ...\n"})
    assert define("own.f").accepts.names == ("a",)
    project({"own.py": "def f(a, b_longer): ...\n"})
    assert define("own.f").accepts.names == ("a", "b_longer")


def test_class_attributes_are_read_as_literals(project):
    project(
        {
            "own.py": """
            from zoo.parts import Speaking
            class Inherits(Speaking): ...
            class Computed(Speaking):
                network_param_names = tuple("ab")
            """
        }
    )
    assert define("own.Inherits").literal("network_param_names") == ("a", "b")
    assert define("own.Inherits").literal("no_such") is None
    with pytest.raises(CannotTellError, match="own"):
        define("own.Computed").literal("network_param_names")


def test_what_a_module_defines(project):
    found = {one.path: (one.form, one.doc) for one in defined_in(find_module("zoo.loading"))}
    assert found == {
        "zoo.loading.Loader": ("class", "Loads animals."),
        "zoo.loading.Child": ("class", ""),
        "zoo.loading.Abstract": ("class", ""),
        "zoo.loading.Handing": ("class", ""),
        "zoo.loading.Keeping": ("class", ""),
        "zoo.loading.Star": ("class", ""),
    }
    assert define("zoo.loading.Abstract").abstract == ["load"]
    assert define("zoo.loading.Child").abstract == []
    assert find("zoo.Renamed").path == "zoo.loading.Loader"
    with pytest.raises(NotThereError, match="Lion") as caught:
        find("zoo.loading.Lion")
    assert "Loader" in caught.value.names


def test_packages_without_an_init_file(project):
    project({"own/inner/deep.py": "def f(a): ...\n"})
    assert define("own.inner.deep.f").accepts.names == ("a",)
    assert told("own.inner.dep.f", "network", run_code=False) == (
        "'own.inner.dep.f' leads nowhere: module 'own.inner' has no 'dep'; did you mean 'deep'?"
    )
    assert "own" not in sys.modules


def test_a_circle_of_imports_ends(project):
    project({"own/__init__.py": "from own.a import x\n", "own/a.py": "from own import x\n"})
    with pytest.raises(CannotTellError, match="own"):
        find("own.x")


def test_checking_runs_no_project_code(project, tmp_path):
    project(
        {
            "own.py": """
            from pathlib import Path
            Path(__file__).with_name("ran").touch()
            from barrage_mlflow.dataset import RecordLoader
            class Loader(RecordLoader):
                def load(self, record): ...
            """
        }
    )
    data = {
        "dataset": {"loader": {"import": "own.Loader", "params": {"colums": 1}}},
        "model": {
            "network": {"import": "keras.applications.MobileNetV2"},
            "outputs": [{"name": "y", "loss": {"import": "mse"}}],
        },
    }
    (fault,) = find_faults(read_config(data))
    assert str(fault) == "$.dataset.loader.params: unknown param 'colums'"
    assert not (tmp_path / "ran").exists()
    del data["dataset"]["loader"]["params"]
    assert find_faults(read_config(data), run_code=True) == []
    assert (tmp_path / "ran").exists()


def test_reading_loads_neither_keras_nor_numpy(project, tmp_path):
    code = (
        "import sys\n"
        "from barrage_mlflow.config.imports import find_target\n"
        "find_target('zoo.Loader', 'loader', run_code=False)\n"
        "find_target('zoo.parts.Layer', 'layer', run_code=False)\n"
        "print([name for name in ('keras', 'tensorflow', 'numpy', 'zoo') if name in sys.modules])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert ran.stdout == "[]\n"
