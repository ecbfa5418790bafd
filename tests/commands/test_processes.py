"""Several processes of one training on this machine: how they are started, stopped and mended."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner
from loopback import isolated
from outside import environment, wait_for

from barrage_mlflow.cli import main
from barrage_mlflow.commands.processes import train_in_processes
from barrage_mlflow.distribution.cluster import LAUNCHER, LOST
from barrage_mlflow.training.stop import stop_with_mlflow

IRIS = Path(__file__).parents[2] / "examples" / "iris"
FILES = [str(IRIS / name) for name in ("config.json", "train.csv", "validation.csv")]
RESUMED = ["train --resume", "train --resume"]


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Has the processes run a few lines instead, which know their ``index``.

    Returns:
        A function of the lines. It returns one that gives the arguments of all that were started.
    """

    def make(lines: str):
        script = tmp_path / "python"
        script.write_text(
            f"#!{sys.executable} -S\n"
            "import json, os, signal, sys, time\n"
            "index = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"
            f"with open({str(tmp_path / 'started')!r}, 'a') as file:\n"
            "    print(*sys.argv[3:], file=file)\n"
            f"{lines}\n"
        )
        script.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(script))
        return lambda: (tmp_path / "started").read_text().splitlines()

    return make


def test_what_all_but_the_first_write_has_their_number(capfd):
    assert train_in_processes(["--version"], 2) == 0
    written = capfd.readouterr()
    assert written.err.endswith(f"[1] {written.out}")


def test_a_fault_that_all_find_is_shown_once(tmp_path):
    command = [sys.executable, "-m", "barrage_mlflow", "train", *FILES, "--processes", "2"]
    done = subprocess.run(
        [*command, "--solver.epochs", "few"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    message = '--solver.epochs  $.solver.epochs: expected an integer ≥ 1, got "few"\n'
    assert (done.returncode, done.stdout, done.stderr) == (2, "", message)


def test_too_few_gpus_are_refused_in_a_line(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    done = CliRunner().invoke(main, ["train", *FILES, "--processes", "2"])
    assert done.exit_code == 2
    assert done.output == (
        "error: expected a GPU for each of 2 processes, got 1: start fewer, or set "
        "CUDA_VISIBLE_DEVICES=-1 to train on CPU cores\n"
    )


def test_killed_processes_start_again_until_restarts_are_used_up(fake, caplog):
    started = fake(f"os.kill(os.getpid(), 9) if index else time.sleep(0.3) or sys.exit({LOST})")
    assert train_in_processes(["train"], 2, restarts=2) == 2
    assert started() == ["train", "train", *RESUMED, *RESUMED]
    ended = "process 1 of 2 was ended by SIGKILL"
    assert caplog.messages == [
        f"{ended}: all go on from the last checkpoint",
        f"{ended}: all go on from the last checkpoint",
        f"error: {ended}, and 2 --restarts are used up; go on with --resume, or have --restarts N "
        "do it",
    ]


def test_without_restarts_a_kill_is_named_with_what_to_do(fake, caplog):
    fake(f"os.kill(os.getpid(), 9) if index == 0 else sys.exit({LOST})")
    assert train_in_processes(["train"], 2) == 2
    ended = "process 0 of 2 was ended by SIGKILL"
    assert caplog.messages == [f"error: {ended}; go on with --resume, or have --restarts N do it"]


def test_processes_that_lost_each_other_start_again(fake):
    started = fake(f"'--resume' in sys.argv or sys.exit({LOST})")
    assert train_in_processes(["train"], 2, restarts=1) == 0
    assert started() == ["train", "train", *RESUMED]


def test_once_the_first_has_ended_well_nothing_befalls_the_training(fake):
    started = fake("index == 0 or os.kill(os.getpid(), 9)")
    assert train_in_processes(["train"], 2, restarts=5) == 0
    assert started() == ["train", "train"]


def test_a_fault_of_one_process_is_no_reason_to_start_again(fake, capfd):
    # TensorFlow may abort a process when another one has failed.
    failing = "print('error: no memory', file=sys.stderr) or sys.exit(2)"
    started = fake(f"{failing} if index else time.sleep(0.3) or os.abort()")
    assert train_in_processes(["train"], 2, restarts=5) == 2
    assert started() == ["train", "train"]
    assert capfd.readouterr().err.endswith("[1] error: no memory\n")


@pytest.mark.parametrize(("fails", "patience"), [(1, "_PATIENCE"), (0, "_NOTHING_LOST")])
def test_one_that_does_not_end_is_killed_and_is_not_the_cause(fails, patience, fake, monkeypatch):
    monkeypatch.setattr(f"barrage_mlflow.commands.processes.{patience}", 0.5)
    started = fake(f"sys.exit(2) if index == {fails} else time.sleep(600)")
    assert train_in_processes(["train"], 2, restarts=5) == 2
    assert started() == ["train", "train"]


def test_ctrl_c_reaches_all_processes_once(fake):
    started = fake(
        "def end(*_): open(f'{sys.argv[0]}-ended', 'a').write(f'{index}'); sys.exit(130)\n"
        "signal.signal(signal.SIGINT, end)\n"
        "open(f'{sys.argv[0]}-{index}', 'w').close()\n"
        "time.sleep(600)"
    )
    script = Path(sys.executable)

    def interrupt():
        wait_for(lambda: all(script.with_name(f"python-{index}").exists() for index in (0, 1)))
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert train_in_processes(["train"], 2, restarts=5) == 130
    thread.join()
    ended = script.with_name("python-ended").read_text()
    assert (started(), sorted(ended)) == (["train", "train"], ["0", "1"])


def test_a_process_whose_launcher_is_gone_ends(monkeypatch):
    gone = subprocess.Popen(["true"])
    gone.wait()
    code = f"import time; from {stop_with_mlflow.__module__} import *; stop_with_mlflow()"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; time.sleep(600)"],
        env=environment(**{LAUNCHER: str(gone.pid)}),
        check=False,
    )
    assert done.returncode == -signal.SIGTERM


def test_a_training_that_is_stopped_says_once_how_to_go_on(tmp_path):
    options = ["--offline", "--artifact-dir", "out", "--processes", "2"]
    forever = ["--solver.epochs", "100000", "--solver.optimizer.learning_rate", "1e-6"]
    command = [sys.executable, "-m", "barrage_mlflow", "train", *FILES, *options, *forever]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            isolated(command), cwd=tmp_path, env=environment(), stdout=log, stderr=log
        )
    history = tmp_path / "out" / "metrics.jsonl"
    wait_for(lambda: process.poll() is not None or (history.exists() and history.read_text()))
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) == 130
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[-2:] == ["interrupted", "go on with: --artifact-dir out --resume"]
    assert not [line for line in lines if line.startswith("[1]") or "Traceback" in line]
    assert [*(tmp_path / "out" / "checkpoints" / "resume").glob("*.npz")]
