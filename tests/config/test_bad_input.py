"""`check` as a whole fresh process: what it prints of bad input, what it takes, what it imports."""

from __future__ import annotations

import subprocess
import sys

import pytest
from fresh import run_apart
from recipes import write_penguins

MEMORY = 500_000_000

COMMAND = [sys.executable, "-m", "barrage_mlflow", "check"]

# To look where a module stands is allowed, to import it is not.
REFUSING = """
import sys
def refuse(event, arguments):
    heavy = ("tensorflow", "keras", "mlflow", "numpy", "pandas", "penguins")
    if event == "import" and arguments[0].partition(".")[0] in heavy:
        raise AssertionError(f"{arguments[0]} is imported")
sys.addaudithook(refuse)
from barrage_mlflow.cli import main
main(sys.argv[1:])
"""


DEEP = "nested deeper than 100 levels"
BOMB = b"a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + b"".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n".encode()
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
LARGE = 50_000_000
HEAVY = {
    "config.json": [
        (b"{}".ljust(LARGE), "config.json: larger than 5 MB, which no config is"),
        (b"[" * 10_000 + b"]" * 10_000, f"config.json:1:1  $: not JSON: {DEEP}"),
    ],
    "config.yaml": [
        (b"{}".ljust(LARGE), "config.yaml: larger than 5 MB, which no config is"),
        (b"- " * 10_000 + b"1\n", f"config.yaml  $: not YAML: {DEEP}"),
        (BOMB, "config.yaml:1:1  $: more than 1,000,000 values; write fewer of them"),
    ],
}
"""Files that take much to read, and what is said of each."""


@pytest.mark.parametrize("name", HEAVY)
def test_heavy_input_takes_little_memory(name, tmp_path):
    for content, fault in HEAVY[name]:
        (tmp_path / name).write_bytes(content)
        run = run_apart([*COMMAND, name], tmp_path)
        assert (run.stdout, run.stderr, run.status) == (f"{fault}\n", f"1 fault in {name}\n", 1)
        assert run.peak < MEMORY


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
names no loss in Keras; did you mean 'sparse_categorical_crossentropy'?
faulty.json:63:18  $.solver.learning_rate_reducer.monitor: no output produces 'val_los'; \
did you mean "val_loss"?
faulty.json:68:5  $.solver: unknown key 'epohcs'; did you mean 'epochs'?
"""


def test_check_schema_and_a_train_with_faults_import_nothing_heavy(configs):
    for name, expected in {
        "config.json": (VALID, "", 0),
        "faulty.json": (FAULTY, "4 faults in faulty.json\n", 1),
    }.items():
        run = run_apart([sys.executable, "-c", REFUSING, "check", name], configs)
        assert (run.stdout, run.stderr, run.status) == expected
        assert run.peak < MEMORY
    code = REFUSING.replace('"numpy", "pandas", ', "")
    run = run_apart([sys.executable, "-c", code, "train", "faulty.json", "t.csv", "v.csv"], configs)
    assert (run.stdout, run.stderr, run.status) == ("", FAULTY, 2)
    run = run_apart([sys.executable, "-c", REFUSING, "schema", "--project", "penguins"], configs)
    assert (run.stderr, run.status) == ("", 0)


def test_the_refusal_refuses(configs):
    code = REFUSING.replace("from barrage_mlflow.cli import main", "import keras.losses")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "AssertionError: keras.losses is imported"
