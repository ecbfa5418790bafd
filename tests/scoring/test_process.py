"""Processes of their own for models: what they import, how they end, and how they fail."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from barrage_mlflow import ArtifactError, ComponentError
from barrage_mlflow.scoring import process as model_process
from barrage_mlflow.scoring.process import ModelProcess

pytestmark = pytest.mark.usefixtures("fresh_model_processes")

MODEL = """
import os
import sys
import time
from barrage_mlflow.errors import RecordError

class Column:
    def __init__(self):
        self.name, self.type, self.required = "a", "double", True

class Model:
    columns, outputs = [Column()], ["y"]

    def get_raw_model(self):
        return self

    def score(self, frame, batch_size):
        import helpers

        do = frame["a"].tolist()[0]
        if do == "raise":
            error = KeyError("b")
            error.add_note("in record 0")
            raise error
        if do == "refuse":
            raise RecordError("record 0: no")
        if do == "exit":
            sys.exit(3)
        if do == "die":
            os.kill(os.getpid(), 9)
        return {"y": helpers.NAME, "batch_size": batch_size, "records": len(frame)}

def _load_pyfunc(path):
    return Model()
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A packaged model with an engine and a helper of its own."""
    for name, text in {
        "code/barrage_mlflow/__init__.py": "",
        "code/barrage_mlflow/errors.py": "class RecordError(Exception): pass",
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
    monkeypatch.syspath_prepend(model.parent)
    with ModelProcess(sys.path) as process:
        described = {"name": "a", "type": "double", "required": True}
        assert process.call("load", str(model)) == ([described], ["y"])
        scores = process.call("score", {"a": ["", ""]}, 2, 7)
        assert scores == {"y": "its own", "batch_size": 7, "records": 2}
        with pytest.raises(ComponentError, match=r"^KeyError: 'b'\nin record 0$"):
            process.call("score", {"a": ["raise"]}, 1, 1)
        with pytest.raises(Exception, match=r"^record 0: no$") as error:
            process.call("score", {"a": ["refuse"]}, 1, 1)
        assert type(error.value).__name__ == "RecordError"
        with pytest.raises(ComponentError, match=r"^SystemExit: 3$"):
            process.call("score", {"a": ["exit"]}, 1, 1)
        message = r"^the process of a packaged model ended with the signal SIGKILL$"
        with pytest.raises(ComponentError, match=message):
            process.call("score", {"a": ["die"]}, 1, 1)
        with pytest.raises(ComponentError, match=message):
            process.call("score", {"a": [""]}, 1, 1)


def test_it_ends_with_its_owner(model: Path) -> None:
    script = f"""
import sys
from barrage_mlflow.scoring.process import ModelProcess
process = ModelProcess(sys.path)
process.call("load", {str(model)!r})
print(process._process.pid, flush=True)
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    pid = int(ended.stdout)
    for _ in range(1000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        signal.sigtimedwait([], 0.01)
    pytest.fail(f"process {pid} lives on")


def test_a_clean_process_imports_nothing_but_what_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "not_installed.py").write_text("", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with ModelProcess() as process:
        # The engine of this checkout is installed in editable form, if at all.
        for folder, name in ((tmp_path, "barrage_mlflow"), (tmp_path / "code", "not_installed")):
            text = f"import {name}\n" if name != "barrage_mlflow" else ""
            package = folder / "code" / "barrage_mlflow"
            package.mkdir(parents=True)
            (package / "pyfunc.py").write_text(f"{text}raise OSError(__file__)", "utf-8")
        (tmp_path / "code" / "barrage_mlflow" / "__init__.py").write_text("", "utf-8")
        place = re.escape(str(tmp_path / "code" / "barrage_mlflow" / "pyfunc.py"))
        with pytest.raises(ComponentError, match=f"^OSError: {place}$"):
            process.call("load", str(tmp_path))


def test_what_a_clean_process_wrote_before_it_died_is_told(tmp_path: Path) -> None:
    package = tmp_path / "code" / "barrage_mlflow"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", "utf-8")
    dies = "import os, sys; print('last words', file=sys.stderr, flush=True); os._exit(7)"
    (package / "pyfunc.py").write_text(dies, "utf-8")
    message = r"^the process of a packaged model ended with exit status 7\n  last words$"
    with ModelProcess() as process, pytest.raises(ComponentError, match=message):
        process.call("load", str(tmp_path))


FORK = """
import sys
sys.path.insert(0, sys.argv[2])
import barrage_mlflow.scoring.pyfunc
from barrage_mlflow.scoring.process import ModelProcess, fork_spare
fork_spare()
spare, fresh = ModelProcess.spare(), ModelProcess.spare()
for process in (spare, fresh):
    process.call("load", sys.argv[1])
    print(process.call("score", {"a": [""]}, 1, 1)["y"], process._forked)
    process.close()
"""


def test_a_fork_is_as_clean_as_a_fresh_process(model: Path) -> None:
    (model.parent / "helpers.py").write_text("NAME = 'the other'", "utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", FORK, model, model.parent],
        capture_output=True,
        text=True,
        check=False,
    )
    forks = sys.platform == "linux"
    assert ended.stdout == f"its own {forks}\nits own False\n", ended.stderr


STUCK = """
import os, signal, sys
from barrage_mlflow.scoring import process as model_process
from barrage_mlflow.scoring.process import ModelProcess, fork_spare
model_process._STUCK = 0.2
fork_spare()
process = ModelProcess.spare()
os.kill(process._process._pid, signal.SIGSTOP)
print(process.call("load", sys.argv[1])[1], process._forked)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
def test_a_fork_that_hangs_is_replaced(model: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STUCK, model], capture_output=True, text=True, check=False
    )
    assert ended.stdout == "['y'] False\n", ended.stderr


def test_a_process_that_cannot_be_started_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(model_process, "start", fail)
    message = r"^no process can be started for a model: no more processes$"
    with pytest.raises(ComponentError, match=message):
        ModelProcess()


def test_an_error_of_the_engine_keeps_its_type() -> None:
    error = model_process._raised("barrage_mlflow.ArtifactError", "nothing there")
    assert (type(error), str(error)) == (ArtifactError, "nothing there")
