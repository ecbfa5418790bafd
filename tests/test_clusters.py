"""Scoring on clusters: the scripts of docs/batch.md, run as they stand there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from outside import ROOT, run
from pages import blocks

import barrage_mlflow

PAGE = (ROOT / "docs" / "batch.md").read_text("utf-8")
EXAMPLE = ROOT / "examples" / "penguins"
TARGETS = ["species", "body_mass_g"]
SPARK = """
import os
os.environ["PYSPARK_SUBMIT_ARGS"] = "--master local-cluster[2,1,1024] pyspark-shell"
"""
RAY = """
import ray
ray.init(
    address="local", num_cpus=3, include_dashboard=False, _node_ip_address="127.0.0.1",
    object_store_memory=200 * 2**20,
)
"""
DASK = """
if __name__ == "__main__":
    import dask.config
    from dask.distributed import LocalCluster
    cluster = LocalCluster(n_workers=2, host="127.0.0.1", dashboard_address=None)
    dask.config.set({"scheduler-address": cluster.scheduler_address})
"""
"""What stands for a cluster of two workers on this machine, which nobody else reaches."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """A folder with a registry, records in four files, and what the model makes of them."""
    home = tmp_path_factory.mktemp("clusters")
    files = [EXAMPLE / name for name in ("config.json", "train.csv", "validation.csv")]
    command = ["barrage-mlflow", "train", *files, "--artifact-dir", "out", "--solver.epochs", "3"]
    command += ["--register", "penguins", "--alias", "champion"]
    run(command, home, MLFLOW_TRACKING_URI=f"sqlite:///{home}/mlflow.db")
    records = pd.concat([pd.read_csv(files[-1])] * 20, ignore_index=True).drop(columns=TARGETS)
    records.insert(0, "id", records.index)
    (home / "records.parquet").mkdir()
    for part in range(4):
        path = home / "records.parquet" / f"part-{part}.parquet"
        records.iloc[part::4].to_parquet(path, index=False)
    scores = barrage_mlflow.BarrageModel(home / "out").predict(records)
    return home, pd.DataFrame(scores)


@pytest.mark.nightly(part="clusters")
@pytest.mark.parametrize(
    ("index", "requirement", "cluster"),
    [
        pytest.param(0, "pyspark>=4,<5", SPARK, id="spark"),
        pytest.param(1, "ray[data]>=2.50,<3", RAY, id="ray"),
        pytest.param(2, "dask[dataframe,distributed]>=2025.7", DASK, id="dask"),
    ],
)
def test_a_cluster_scores_alike_to_the_bit(
    index: int,
    requirement: str,
    cluster: str,
    trained: tuple[Path, pd.DataFrame],
    tmp_path: Path,
) -> None:
    home, expected = trained
    if requirement.startswith("pyspark"):
        assert shutil.which("java"), "Spark needs Java 17 or 21"
    pip = [sys.executable, "-m", "pip"]
    (tmp_path / "here.txt").write_text(run([*pip, "freeze", "--exclude-editable"], tmp_path))
    run([*pip, "install", "-q", "--target", "packages", "-c", "here.txt", requirement], tmp_path)
    shutil.copytree(home / "records.parquet", tmp_path / "records.parquet")
    (tmp_path / "script.py").write_text(cluster + blocks(PAGE, "python")[index], "utf-8")
    run(
        [sys.executable, "script.py"],
        tmp_path,
        MLFLOW_TRACKING_URI=f"sqlite:///{home}/mlflow.db",
        PYTHONPATH=f"{tmp_path / 'packages'}:{ROOT}",
        PYSPARK_PYTHON=sys.executable,
        SPARK_LOCAL_IP="127.0.0.1",
        RAY_USAGE_STATS_ENABLED="0",
        HOME=str(tmp_path),
    )
    scored = pd.read_parquet(tmp_path / "scored").sort_values("id", ignore_index=True)
    assert len(scored) == len(expected)
    for name in expected:
        assert scored[name].tolist() == expected[name].tolist()
