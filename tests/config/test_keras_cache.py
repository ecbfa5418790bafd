"""The file that the index of Keras is kept in, and importing Keras to make it."""

import contextlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from importlib import metadata
from pathlib import Path

import keras
import pytest

from barrage_mlflow.config import keras_cache, keras_index, keras_scan
from barrage_mlflow.config.keras_index import KerasEntry

FOUND = {"paths": {"Model": 0}, "described": [{"form": "class"}], "members": {"": ["Model"]}}


@pytest.fixture
def scans(tmp_path, monkeypatch):
    """An empty cache, and a scan that costs nothing; the list holds each that was made."""
    made = []

    def scan():
        made.append(FOUND)
        return dict(FOUND)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(keras_scan, "scan", scan)
    return made


def test_keras_is_scanned_once(scans):
    file = keras_cache.cache_file()
    first = keras_cache.cached_scan()
    assert first == keras_cache.cached_scan() == {"file": file.name, **FOUND}
    assert len(scans) == 1
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b'{"file": ',
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"[" * 100_000,
        json.dumps(FOUND).encode(),
        json.dumps({"file": "keras-0.1-00000000.json", **FOUND}).encode(),
    ],
)  # fmt: skip
def test_a_file_that_is_no_index_is_made_anew(scans, content):
    file = keras_cache.cache_file()
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    assert keras_cache.cached_scan() == {"file": file.name, **FOUND}
    assert json.loads(file.read_text("utf-8")) == {"file": file.name, **FOUND}
    assert len(scans) == 1


def test_a_cut_file_is_made_anew(scans):
    whole = keras_cache.cached_scan()
    file = keras_cache.cache_file()
    file.write_bytes(file.read_bytes()[:-1])
    assert keras_cache.cached_scan() == whole
    assert keras_cache.cached_scan() == whole
    assert len(scans) == 2


def test_a_folder_that_cannot_be_made(scans, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert keras_cache.cached_scan()["paths"] == {"Model": 0}
    assert keras_cache.cached_scan()["paths"] == {"Model": 0}
    assert len(scans) == 2
    assert list(tmp_path.iterdir()) == [tmp_path / "cache"]


def test_a_file_that_cannot_be_replaced(scans):
    file = keras_cache.cache_file()
    file.mkdir(parents=True)
    assert keras_cache.cached_scan() == {"file": file.name, **FOUND}
    assert list(file.parent.iterdir()) == [file]


def test_a_user_without_a_home(scans, monkeypatch):
    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", no_home)
    assert keras_cache.cache_file() is None
    assert keras_cache.cached_scan() == {"file": "", **FOUND}


@pytest.mark.parametrize("given", [None, "", "relative/folder"])
def test_the_folder_without_a_setting_that_counts(tmp_path, monkeypatch, given):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if given is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", given)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert keras_cache.cache_file().parent == tmp_path / ".cache" / "barrage-mlflow"


def test_the_file_is_named_by_keras_and_by_the_code_that_makes_it(tmp_path, monkeypatch):
    file = keras_cache.cache_file()
    version = re.escape(keras.__version__)
    assert re.fullmatch(rf"keras-{version}-[0-9a-f]{{8}}\.json", file.name)
    copy = shutil.copytree(keras_cache._FOLDER, tmp_path / "copy")
    monkeypatch.setattr(keras_cache, "_FOLDER", copy)
    assert keras_cache.cache_file() == file
    for module in ("keras_scan", "keras_arguments", "keras_names", "signatures"):
        source = copy / f"{module}.py"
        before = source.read_text("utf-8")
        source.write_text(f"{before}# another way to scan\n", "utf-8")
        assert keras_cache.cache_file() != file
        source.write_text(before, "utf-8")
    assert keras_cache.cache_file() == file
    source.unlink()
    assert keras_cache.cache_file() is None


def test_the_version_of_keras(tmp_path, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda _: "from metadata")
    assert keras_cache.keras_version() == keras.__version__
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert keras_cache.keras_version() == "from metadata"
    (tmp_path / "keras-9.8.7.dist-info").mkdir()
    (tmp_path / "keras_hub-1.0.dist-info").mkdir()
    assert keras_cache.keras_version() == "9.8.7"
    (tmp_path / "keras-9.8.6.dist-info").mkdir()
    assert keras_cache.keras_version() == "from metadata"


def test_keras_whose_version_is_not_known(scans, monkeypatch):
    def unknown(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.machinery.PathFinder, "find_spec", lambda _: None)
    monkeypatch.setattr(metadata, "version", unknown)
    assert keras_cache.keras_version() is None
    assert keras_cache.cached_scan() == {"file": "", **FOUND}


def test_several_processes_at_once(tmp_path):
    script = (
        "import contextlib, json\n"
        "from barrage_mlflow.config import keras_cache, keras_scan\n"
        "found = {'paths': {str(i): i for i in range(20_000)}}\n"
        "keras_scan.scan = lambda: dict(found)\n"
        "file = keras_cache.cache_file()\n"
        "for _ in range(20):\n"
        "    assert keras_cache.cached_scan()['paths'] == found['paths']\n"
        "    with contextlib.suppress(FileNotFoundError):\n"
        "        assert json.loads(file.read_bytes())['paths'] == found['paths']\n"
        "        file.unlink()\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-c", script]
    running = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for _ in range(4)]
    assert [process.communicate()[1] for process in running] == [b""] * 4
    assert [process.returncode for process in running] == [0] * 4
    left = list((tmp_path / "barrage-mlflow").iterdir())
    assert all(path.suffix == ".json" for path in left)


def test_the_first_question_prints_nothing_and_the_next_process_needs_no_keras(tmp_path):
    script = (
        "import sys\n"
        "from barrage_mlflow.config import keras_index\n"
        "print(keras_index.short('loss', 'mse').path, 'Dense' in keras_index.names('layer'))\n"
        "print('adam' in keras_index.members('optimizers'), keras_index.at('metrics.AUC').kinds)\n"
        "print([name for name in ('keras', 'tensorflow', 'numpy') if name in sys.modules])\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    answers = "losses.MeanSquaredError True\nFalse ('metric',)\n"
    for imported in (["keras", "tensorflow", "numpy"], []):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == (f"{answers}{imported}\n", "")


@pytest.fixture
def noisy_keras(monkeypatch):
    """Stands in for a Keras that is not imported yet, and writes past `sys.stderr` when it is."""

    def import_module(name):
        os.write(2, b"a note of native code\n")
        return f"module {name}"

    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(importlib, "import_module", import_module)


def test_notes_of_native_code_are_not_seen(noisy_keras, capfd):
    assert keras_scan.import_keras() == "module keras"
    os.write(2, b"seen again\n")
    assert capfd.readouterr() == ("", "seen again\n")


def test_a_process_without_stderr(noisy_keras, monkeypatch):
    def closed(_):
        raise OSError("Bad file descriptor")

    monkeypatch.setattr(os, "dup", closed)
    monkeypatch.setattr(sys, "stderr", None)
    assert keras_scan.import_keras() == "module keras"


def test_stderr_comes_back_when_several_threads_import(monkeypatch, capfd):
    both = threading.Barrier(2)

    def import_module(name):
        with contextlib.suppress(threading.BrokenBarrierError):  # The other one has to wait.
            both.wait(0.2)

    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setattr(importlib, "import_module", import_module)
    threads = [threading.Thread(target=keras_scan.import_keras) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"seen again\n")
    assert capfd.readouterr().err == "seen again\n"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ModuleNotFoundError("No module named 'keras'"), "ModuleNotFoundError: No module named"),
        (ValueError("Unable to import backend"), "ValueError: Unable to import backend"),
    ],
)
def test_keras_that_cannot_be_imported(tmp_path, monkeypatch, error, expected):
    def import_module(name):
        raise error

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(importlib, "import_module", import_module)
    keras_index.at.cache_clear()
    keras_index._index.cache_clear()
    for question, asked in [
        (keras_index.short, ("loss", "mse")),
        (keras_index.at, ("losses.Huber",)),
        (keras_index.at, ("src.losses.losses.Huber",)),
        (keras_index.names, ("loss",)),
        (keras_index.members, ("losses",)),
        (keras_index.load, (KerasEntry("losses.Huber", "class"),)),
    ]:
        with pytest.raises(ImportError, match=f"^{expected}"):
            question(*asked)
    assert list(tmp_path.iterdir()) == []
