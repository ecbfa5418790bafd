"""`check` as a whole fresh process: what it prints of bad input, what it takes, what it imports."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bad_inputs import CONTENTS, FAULTS, write_bad_input
from click.testing import CliRunner
from fresh import Run, run_apart
from recipes import write_penguins

from barrage_mlflow.cli import main

MEMORY = 500_000_000

COMMAND = [sys.executable, "-m", "barrage_mlflow", "check"]

# Root reads every file, unless it gives up the right to.
WITHOUT_ROOTS_RIGHTS = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
drop, override, search = 24, 1, 2
if libc.prctl(drop, override) or libc.prctl(drop, search):
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
"""

# To look where a module stands is allowed, to import it is not.
REFUSING = """
import sys
def refuse(event, arguments):
    heavy = ("tensorflow", "keras", "mlflow", "numpy", "pandas")
    if event == "import" and arguments[0].partition(".")[0] in heavy:
        raise AssertionError(f"{arguments[0]} is imported")
sys.addaudithook(refuse)
from barrage_mlflow.cli import main
main(["check", sys.argv[1]])
"""


HEAVY = {"50 MB", "50 MB of YAML", "alias bomb", "nested lists", "nested YAML dashes"}


def line_of(name: str, run: Run) -> str:
    """The one line that was printed of a file, all else being as it should."""
    assert run.stderr == f"1 fault in {name}\n"
    assert run.status == 1
    assert run.stdout.endswith("\n")
    assert run.peak < MEMORY
    return run.stdout[:-1]


def checked(name: str) -> str:
    """What `check` prints of a faulty file."""
    result = CliRunner().invoke(main, ["check", name])
    assert (result.stderr, result.exit_code) == (f"1 fault in {name}\n", 1)
    return result.stdout[:-1]


@pytest.mark.parametrize("kind", sorted(HEAVY))
def test_heavy_input_takes_little_memory(kind, tmp_path):
    name = write_bad_input(kind, tmp_path)
    assert line_of(name, run_apart([*COMMAND, name], tmp_path)) == FAULTS[kind]


def test_bad_input_is_one_clear_line(tmp_path):
    assert set(CONTENTS) == set(FAULTS)
    for kind in CONTENTS.keys() - HEAVY:
        assert checked(write_bad_input(kind, tmp_path)) == FAULTS[kind]


def test_a_folder_and_files_that_are_not_there(tmp_path):
    (tmp_path / "config.json").write_text("{}", "utf-8")
    (tmp_path / "configs").mkdir()
    for name, expected in {
        "configs": "configs: expected a file, got a folder; give the config file in it",
        "confg.json": "confg.json: no such file; did you mean 'config.json'?",
        "elsewhere.json": "elsewhere.json: no such file",
        "no/config.json": "no/config.json: no such file; there is no folder 'no'",
    }.items():
        assert checked(name) == expected


DENIED = "config.json: cannot be read: Permission denied"


def test_a_file_that_may_not_be_read(tmp_path):
    (tmp_path / "config.json").write_text("{}", "utf-8")
    (tmp_path / "config.json").chmod(0)
    before = [sys.executable, "-c", WITHOUT_ROOTS_RIGHTS] if os.geteuid() == 0 else []
    run = run_apart([*before, *COMMAND, "config.json"], tmp_path)
    if run.status == 77:
        pytest.skip("root cannot give up its right to read every file here")
    assert line_of("config.json", run) == DENIED


def test_what_is_denied_in_whatever_way_reads_alike(monkeypatch):
    def denied(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", denied)
    assert checked("config.json") == DENIED


@pytest.fixture
def configs(tmp_path):
    """A valid and a faulty config of the penguins, and the project that they name."""
    write_penguins(tmp_path)
    return tmp_path


VALID = "config.json: all is well\n"
FAULTY = """\
faulty.json:4:17  $.dataset.loader.import: 'penguins.PengiunLoader' leads nowhere: \
'penguins' has no 'PengiunLoader'; did you mean 'PenguinLoader'?
faulty.json:33:21  $.model.outputs[0].loss.import: 'sparse_categorical_crossentrpy' \
is not the name of a loss in Keras; did you mean 'sparse_categorical_crossentropy'?
faulty.json:63:18  $.solver.learning_rate_reducer.monitor: no output produces 'val_los'; \
did you mean "val_loss"?
faulty.json:68:5  $.solver: unknown key 'epohcs'; did you mean 'epochs'?
"""


def test_the_first_check_imports_nothing_heavy(configs):
    for name, expected in {
        "config.json": (VALID, "", 0),
        "faulty.json": (FAULTY, "4 faults in faulty.json\n", 1),
    }.items():
        run = run_apart([sys.executable, "-c", REFUSING, name], configs)
        assert (run.stdout, run.stderr, run.status) == expected
        assert run.peak < MEMORY


def test_the_refusal_refuses(configs):
    code = REFUSING.replace("from barrage_mlflow.cli import main", "import keras.losses")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "AssertionError: keras.losses is imported"
