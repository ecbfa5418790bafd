"""Several processes train what one trains: weights, logs, resuming. One start trains all cases."""

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

pytestmark = pytest.mark.slow

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
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The folders of all cases, by the number of processes."""
    home = tmp_path_factory.mktemp("runs")
    return {
        1: trained(1, home / "1", *CASES),
        2: trained(2, home / "2", *CASES),
        3: trained(3, home / "3", "mlp", "convnet", "text", "clipped", "streamed"),
    }


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


@pytest.mark.parametrize("name", SAME)
def test_two_processes_train_what_one_trains(runs: dict[int, Path], name: str) -> None:
    assert_close(runs[1] / name, runs[2] / name, FAR.get(name, EXACT))


@pytest.mark.parametrize("name", ["mlp", "convnet", "text", "clipped", "streamed"])
def test_three_processes_train_what_one_trains(runs: dict[int, Path], name: str) -> None:
    assert_close(runs[1] / name, runs[3] / name)


def test_all_processes_hold_the_same_weights(runs: dict[int, Path]) -> None:
    # A callback of the chief changes them in one case, and is told to the others.
    quiet = [name for name in SAME if name != "callbacks"]
    for count in (2, 3):
        for each in seen(runs[count], count):
            assert not any(each["apart"].get(name) for name in (*quiet, RANDOM))
    assert seen(runs[2], 2)[1]["apart"]["callbacks"] > 0


def test_a_training_is_repeated_to_the_bit(runs: dict[int, Path], tmp_path: Path) -> None:
    # Once it has finished, nothing is left to train.
    again = trained(2, tmp_path / "again", RANDOM, "convnet", RANDOM)
    assert bits(again / RANDOM) == bits(runs[2] / RANDOM)
    assert bits(again / "convnet") == bits(runs[2] / "convnet")


def test_stopped_anywhere_it_goes_on_to_the_bit(runs: dict[int, Path], tmp_path: Path) -> None:
    # In the middle of an epoch by a worker, in a validation by the chief, and once more.
    stops = [f"{name}!{stop}" for name in (RANDOM, "streamed") for stop in ("1.4", "0.8", "1.3")]
    folder = trained(2, tmp_path / "out", *stops, RANDOM, "streamed")
    places = seen(folder, 2)[0]["stopped"]
    assert [name for name, *_ in places] == [RANDOM] * 3 + ["streamed"] * 3
    assert all(epochs < 3 for _, epochs, _ in places)
    # Where the later ones fall depends on how many batches a call has.
    assert all((epochs, 0 < batch < BATCHES) == (0, True) for _, epochs, batch in places[::3])
    assert bits(folder / RANDOM) == bits(runs[2] / RANDOM)
    assert bits(folder / "streamed") == bits(runs[2] / "streamed")


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_processes_goes_on(
    runs: dict[int, Path], tmp_path: Path, count: int
) -> None:
    trained(2, tmp_path / "out", "convnet!1.4")
    stopped = checkpoint(tmp_path / "out" / "convnet")
    assert (stopped.epochs, stopped.batch > 0) == (0, True)
    shutil.copytree(tmp_path / "out", tmp_path / "other")
    assert_close(runs[1] / "convnet", trained(count, tmp_path / "other", "convnet") / "convnet")


def test_processes_listen_at_the_port_that_they_were_given(runs: dict[int, Path]) -> None:
    # TensorFlow binds it on all addresses, whatever the address says: docs/scaling.md warns of it.
    for each in seen(runs[2], 2):
        assert [address for address, _ in each["listens"]] == ["::"]
