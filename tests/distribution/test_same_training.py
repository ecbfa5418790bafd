"""Several processes train what one trains: weights, logs, resuming. One start trains all cases.

Two processes are tried on every change; three, and another number of them, in the nightly part.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from group_cases import CASES
from loopback import isolated

from barrage_mlflow.services.checkpoint_file import Checkpoint
from barrage_mlflow.workspace.layout import resume_checkpoints

SCRIPT = Path(__file__).parents[1] / "train_group.py"
EXACT = 1e-6
"""How far weights and logs may be from those of one process."""
FAR = {"half": 2e-2}
"""With float16, gradients are rounded to three digits before they are added up."""
RANDOM = "dropout"
"""The case that draws random numbers, which differ with the number of processes."""
BATCHES = 9
"""Those of an epoch."""
SAME = [name for name in CASES if name != RANDOM]


def trained(count: int, folder: Path, *specs: str) -> Path:
    """Train cases in so many processes."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(SCRIPT), str(count), str(folder), *specs]
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1"}
    done = subprocess.run(
        isolated(command), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of all cases, trained by one process."""
    return trained(1, tmp_path_factory.mktemp("one"), *CASES)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Those by two processes."""
    return trained(2, tmp_path_factory.mktemp("two"), *CASES)


def weights(folder: Path) -> list[np.ndarray]:
    """What a training has come to; not the states of random generators."""
    variables = checkpoint(folder).memory["variables"]
    both = [*variables["trainable"], *variables["non-trainable"]]
    return [value for path, value in both if not path.endswith("seed_generator_state")]


def checkpoint(folder: Path) -> Checkpoint:
    return Checkpoint.read(resume_checkpoints(folder)[0])


def logs(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["metrics"] for line in lines]


def seen(folder: Path, count: int) -> list[dict[str, Any]]:
    return [json.loads((folder / f"seen-{n}.json").read_text("utf-8")) for n in range(count)]


def assert_close(one: Path, other: Path, far: float = EXACT) -> None:
    for first, second in zip(weights(one), weights(other), strict=True):
        np.testing.assert_allclose(second, first, rtol=0, atol=far)
    assert [list(each) for each in logs(one)] == [list(each) for each in logs(other)]
    for before, now in zip(logs(one), logs(other), strict=True):
        assert now == pytest.approx(before, rel=far, abs=far)


def bits(folder: Path) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """All that must be the same to the bit."""
    memory = checkpoint(folder).memory
    arrays = {
        f"{owner} {place}": value.tobytes()
        for owner, variables in memory["variables"].items()
        for place, (_, value) in enumerate(variables)
    }
    return logs(folder), {**arrays, "counted": memory["counted"].tobytes()}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAME)
def test_two_processes_train_what_one_trains(one: Path, two: Path, name: str) -> None:
    assert_close(one / name, two / name, FAR.get(name, EXACT))


@pytest.mark.nightly(part="processes")
def test_three_processes_train_what_one_trains(one: Path, tmp_path: Path) -> None:
    names = ["mlp", "convnet", "text", "clipped", "streamed"]
    three = trained(3, tmp_path / "out", *names)
    for name in names:
        assert_close(one / name, three / name)
    for each in seen(three, 3):
        assert each["apart"] == dict.fromkeys(names, 0)


@pytest.mark.slow
def test_all_processes_hold_the_same_weights(two: Path) -> None:
    chief, other = (each["apart"] for each in seen(two, 2))
    # A callback of the chief changes them in one case, and is told to the others.
    assert other.pop("callbacks") > 0
    assert {*chief.values(), *other.values()} == {0}


@pytest.mark.nightly(part="processes")
def test_a_training_is_repeated_to_the_bit(two: Path, tmp_path: Path) -> None:
    # Once it has finished, nothing is left to train.
    again = trained(2, tmp_path / "again", RANDOM, "convnet", RANDOM)
    assert bits(again / RANDOM) == bits(two / RANDOM)
    assert bits(again / "convnet") == bits(two / "convnet")


@pytest.mark.slow
def test_stopped_anywhere_it_goes_on_to_the_bit(two: Path, tmp_path: Path) -> None:
    # In the middle of an epoch by a worker, in a validation by the chief, and once more.
    stops = [f"{name}!{stop}" for name in (RANDOM, "streamed") for stop in ("1.4", "0.8", "1.3")]
    folder = trained(2, tmp_path / "out", *stops, RANDOM, "streamed")
    places = seen(folder, 2)[0]["stopped"]
    assert [name for name, *_ in places] == [RANDOM] * 3 + ["streamed"] * 3
    assert all(epochs < 3 for _, epochs, _ in places)
    # Where the later ones fall depends on how many batches a call has.
    assert all((epochs, 0 < batch < BATCHES) == (0, True) for _, epochs, batch in places[::3])
    assert bits(folder / RANDOM) == bits(two / RANDOM)
    assert bits(folder / "streamed") == bits(two / "streamed")


@pytest.mark.nightly(part="processes")
@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_processes_goes_on(one: Path, tmp_path: Path, count: int) -> None:
    trained(2, tmp_path / "out", "convnet!1.4")
    stopped = checkpoint(tmp_path / "out" / "convnet")
    assert (stopped.epochs, stopped.batch > 0) == (0, True)
    shutil.copytree(tmp_path / "out", tmp_path / "other")
    assert_close(one / "convnet", trained(count, tmp_path / "other", "convnet") / "convnet")


@pytest.mark.slow
def test_processes_listen_at_the_port_that_they_were_given(two: Path) -> None:
    # TensorFlow binds it on all addresses, whatever the address says: docs/scaling.md warns of it.
    for each in seen(two, 2):
        assert [address for address, _ in each["listens"]] == ["::"]
