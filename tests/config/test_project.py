"""The project's own code: where it is looked for, and what of it `check` runs."""

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from barrage_mlflow.config import add_project_path
from barrage_mlflow.config.document import Document
from barrage_mlflow.config.project import code_modules, own_modules

EXAMPLES = Path(__file__).parents[2] / "examples"
# As the installed script has it: the working folder is not on the Python path.
COMMAND = [sys.executable, "-P", "-c", "from barrage_mlflow.cli import main; main()"]


def run_in(folder, *arguments):
    """What a command printed, in a folder whose modules add their names to the file ``ran``."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    ran = folder / "ran"
    return done.stdout, done.stderr, ran.read_text().split() if ran.exists() else []


@pytest.fixture
def hostile(tmp_path):
    """A config, beside a file for each module of the standard library that the engine may use."""
    mark = "from pathlib import Path\nPath({ran!r}).open('a').write({name!r} + ' ')\n"
    # Those of other systems are not there, and whoever asks for one would get ours.
    standard = {name for name in sys.stdlib_module_names if importlib.util.find_spec(name)}
    names = {*standard, "yaml", "jsonschema", "click"} - {"pathlib"}
    for name in (*names, "shop"):
        text = mark.format(ran=str(tmp_path / "ran"), name=name)
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "pathlib.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write('pathlib ')")
    with (tmp_path / "shop.py").open("a") as file:
        file.write("from barrage_mlflow.dataset import RecordLoader\n")
        file.write("class Loader(RecordLoader):\n    def load(self, record): ...\n")
        file.write("globals()['Made'] = Loader\n")
        file.write("print('shop runs', file=__import__('sys').stderr)\n")
    config = json.loads((EXAMPLES / "iris" / "config.json").read_text())
    for name, path in {"config": "", "own": "shop.Loader", "made": "shop.Made"}.items():
        if path:
            config["dataset"]["loader"] = {"import": path}
        (tmp_path / f"{name}.json").write_text(json.dumps(config))
    return tmp_path


def test_check_and_schema_run_no_code_of_the_folder(hostile):
    for name in ("config.json", "own.json"):
        assert run_in(hostile, "check", name) == (f"{name}: all is well\n", "", [])
    printed, errors, ran = run_in(hostile, "schema", "--project", "shop")
    assert "shop.Loader" in printed
    assert (errors, ran) == ("", [])


def test_check_announces_the_module_that_it_has_to_import(hostile):
    printed, errors, ran = run_in(hostile, "check", "made.json")
    assert printed == "made.json: all is well\n"
    announced = "importing shop: only running it shows what shop.Made is"
    assert errors.splitlines()[:2] == [announced, "shop runs"]
    assert not set(ran) & sys.stdlib_module_names
    assert "shop" in ran


def test_code_modules_are_the_projects_own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("mine.py", "package/__init__.py", "package/part.py", "space/inner.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    config = {
        "a": {"import": "mine.Loader"},
        "b": [{"import": "package.sub.f", "params": {"layers": [{"import": "space.inner.L"}]}}],
        "c": {"import": "numpy.flip"},
        "d": {"import": "json.loads"},
        "e": {"import": "tf.keras.losses.Huber"},
        "f": {"import": "barrage.dataset.KeySelector"},
        "g": {"import": "mse"},
        "h": {"import": "no_such.thing"},
        "i": {"import": 3},
    }
    assert code_modules(config) == ["mine", "package", "space"]
    assert {"mine", "package"} <= own_modules(sys.path)


def test_a_module_made_by_hand_is_nobodys_code(monkeypatch):
    monkeypatch.setitem(sys.modules, "made", type(sys)("made"))
    assert code_modules({"import": "made.Loader"}) == []


def test_the_projects_folders_come_after_the_standard_library(tmp_path, monkeypatch):
    standard = sysconfig.get_path("stdlib")
    monkeypatch.setattr(sys, "path", ["/before", standard, "/installed"])
    expected = ["/before", standard, str(tmp_path / "folder"), str(tmp_path), "/installed"]
    for document in (Document({}, "folder/config.json"), Document({})):
        add_project_path(document)
        assert sys.path == expected
