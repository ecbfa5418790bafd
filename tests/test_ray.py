"""Trainings on Ray: killed and started again, and what they refuse. Ray runs on this machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from chaos import make_configs, make_records
from outside import ROOT, run
from test_repository import PROJECT

from barrage_mlflow.errors import ConfigError, GroupError
from barrage_mlflow.ray import train_on_ray

PARTS = """
import os
from pathlib import Path

import chaos_parts


class Broken(ValueError):
    pass


class Loader(chaos_parts.Loader):
    def load(self, record):
        Path(os.environ["MLFLOW_STARTS"], str(os.getpid())).touch()
        raise Broken("no such colour")
"""
SCRIPT = """
import json
import sys
from pathlib import Path

import ray
from barrage_mlflow import RecordError
from barrage_mlflow.ray import train_on_ray

ray.init(
    address="local", num_cpus=3, include_dashboard=False, _node_ip_address="127.0.0.1",
    object_store_memory=200 * 2**20,
)
config = json.loads(Path("config.json").read_text())
try:
    train_on_ray("config.json", "train.csv", "train.csv", storage="out", offline=True)
except Exception as error:
    assert (type(error).__name__, str(error)) == ("Broken", "no such colour")
    assert "component own_parts.Loader" in "".join(error.__notes__), error.__notes__
else:
    sys.exit("it trained")
print("starts:", len(list(Path("starts").iterdir())))
try:
    train_on_ray("config.json", "none.csv", "train.csv", storage="new", workers=1, offline=True)
except RecordError as error:
    print("told:", error)
"""
"""What stands for a cluster on this machine, which nobody else reaches."""


def config(**dataset: object) -> dict[str, object]:
    whole = make_configs(False)["records"]
    return {**whole, "dataset": {**whole["dataset"], **dataset}}


def test_without_ray_it_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(GroupError, match=r"pip install 'barrage-mlflow\[ray\]'"):
        train_on_ray(config(), "train.csv", "validation.csv", storage="out")


def test_faults_of_a_config_are_found_before_ray_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="worker"):
        train_on_ray(config(worker=1), "train.csv", "validation.csv", storage="out")
    with pytest.raises(ConfigError, match="epoch"):
        train_on_ray(config(), "a.csv", "b.csv", storage="out", overrides={"solver.epoch": 2})


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Ray, for the versions of all else that are here."""
    home = tmp_path_factory.mktemp("packages")
    pip = [sys.executable, "-m", "pip"]
    (home / "here.txt").write_text(run([*pip, "freeze", "--exclude-editable"], home))
    (requirement,) = PROJECT["optional-dependencies"]["ray"]
    run([*pip, "install", "-q", "--target", "packages", "-c", "here.txt", requirement], home)
    return home / "packages"


@pytest.mark.nightly(part="clusters")
@pytest.mark.parametrize("name", ["records", "columns"])
def test_killed_on_ray_it_leaves_what_two_processes_leave_without(
    name: str, packages: Path, tmp_path: Path
) -> None:
    script = [sys.executable, ROOT / "tests" / "chaos_ray.py", "--config", name, "--kills"]
    outside = {"PYTHONPATH": f"{packages}:{ROOT}", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    with TemporaryDirectory() as short:  # the path of a socket has at most 107 bytes
        outside["RAY_TMPDIR"] = short
        assert "left alone; the same" in run([*script, "0"], tmp_path, **outside)
        assert "1 kills (1 SIGKILL), 0 faults" in run([*script, "1"], tmp_path, **outside)


@pytest.mark.nightly(part="clusters")
def test_what_a_training_raises_is_raised_without_another_try(
    packages: Path, tmp_path: Path
) -> None:
    (tmp_path / "starts").mkdir()
    (tmp_path / "own_parts.py").write_text(PARTS, "utf-8")
    (tmp_path / "script.py").write_text(SCRIPT, "utf-8")
    own = config(loader={"import": "own_parts.Loader"}, workers=0)
    (tmp_path / "config.json").write_text(json.dumps(own), "utf-8")
    make_records(200, 1).to_csv(tmp_path / "train.csv", index=False)
    outside = {"PYTHONPATH": f"{packages}:{ROOT}:{ROOT / 'tests'}", "HOME": str(tmp_path)}
    outside["MLFLOW_STARTS"] = str(tmp_path / "starts")
    printed = run([sys.executable, "script.py"], tmp_path, **outside)
    assert "told: none.csv" in printed
    # Only the first process reads records before the others are told to.
    assert "starts: 1" in printed
