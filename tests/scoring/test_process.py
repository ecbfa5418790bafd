"""Processes of their own for models: what they import, how they end, and how they fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from outside import is_gone, wait_for

from barrage_mlflow import ComponentError, RecordError
from barrage_mlflow.scoring import process_main
from barrage_mlflow.scoring.process import ModelProcess

MODEL = """
import os
import sys
from barrage_mlflow.errors import RecordError

class Column:
    def __init__(self):
        self.name, self.type, self.required = "a", "double", True

class UnevenError(RecordError):
    pass

class Model:
    columns, outputs = [Column()], ["y"]

    def get_raw_model(self):
        return self

    def score(self, frame, batch_size):
        import helpers

        do = frame["a"].tolist()[0]
        if do == "import":
            import not_installed
        if do == "raise":
            error = KeyError("b")
            error.add_note("in record 0")
            raise error
        if do == "refuse":
            raise UnevenError("record 0: no")
        if do == "exit":
            sys.exit(3)
        if do == "die":
            print("the end", flush=True)
            os.kill(os.getpid(), 9)
        return {"y": helpers.NAME, "batch_size": batch_size, "records": len(frame)}

def _load_pyfunc(path):
    return Model()
"""
ERRORS = "class BarrageError(Exception): pass\nclass RecordError(BarrageError): pass"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A packaged model with an engine and a helper of its own."""
    for name, text in {
        "code/barrage_mlflow/__init__.py": "",
        "code/barrage_mlflow/errors.py": ERRORS,
        "code/barrage_mlflow/pyfunc.py": MODEL,
        "code/helpers.py": "NAME = 'its own'",
    }.items():
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return tmp_path / "model"


def test_a_model_runs_with_its_own_code_and_its_errors_come_through(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model.parent / "helpers.py").write_text("NAME = 'the other'", "utf-8")
    (model.parent / "not_installed.py").write_text("", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(model.parent))
    failures = {
        "import": (ComponentError, r"^ModuleNotFoundError: No module named 'not_installed'$"),
        "raise": (ComponentError, r"^KeyError: 'b'\nin record 0$"),
        "refuse": (RecordError, r"^record 0: no$"),
        "exit": (ComponentError, r"^SystemExit: 3$"),
    }
    death = r"^the process of a packaged model ended with the signal SIGKILL(\n  .*)*\n  the end$"
    with ModelProcess() as process:
        described = {"name": "a", "type": "double", "required": True}
        assert process.call("load", str(model)) == ([described], ["y"], {})
        scores = process.call("score", {"a": ["", ""]}, 2, 7)
        assert scores == {"y": "its own", "batch_size": 7, "records": 2}
        for do, (error, message) in failures.items():
            with pytest.raises(error, match=message):
                process.call("score", {"a": [do]}, 1, 1)
        for do in ("die", ""):
            with pytest.raises(ComponentError, match=death):
                process.call("score", {"a": [do]}, 1, 1)


def test_a_folder_beside_the_installation_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "prefix": "/work/env",
        "base_prefix": "/opt/python",
        "path": ["/work/env/lib", "/work/env-project", "/opt/python/lib", "/opt/python-own", ""],
        "meta_path": [*sys.meta_path],
    }.items():
        monkeypatch.setattr(sys, name, value)
    process_main._import_only_installed()
    assert sys.path == ["/work/env/lib", "/opt/python/lib"]


def test_it_ends_with_its_owner() -> None:
    script = """
from barrage_mlflow.scoring.process import ModelProcess
print(ModelProcess()._process.pid, flush=True)
"""
    command = [sys.executable, "-c", script]
    pid = int(subprocess.run(command, capture_output=True, check=True).stdout)
    wait_for(lambda: is_gone(pid), 60)


def test_a_call_that_is_interrupted_leaves_no_answer_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ModelProcess() as process:

        def interrupt() -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(process._connection, "recv", interrupt, raising=False)
        with pytest.raises(KeyboardInterrupt, match=r"^$"):
            process.call("load", "nowhere")
        with pytest.raises(ComponentError, match=r"ended with the signal SIGKILL"):
            process.call("load", "nowhere")


def test_a_process_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(subprocess, "Popen", fail)
    message = r"^no process can be started for a model: no more processes$"
    with pytest.raises(ComponentError, match=message):
        ModelProcess()
