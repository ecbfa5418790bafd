"""What every test gets: a folder of its own, and an MLflow store in it."""

import gc
import linecache
import logging
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from barrage_mlflow.scoring import model_code

# A test is not about how busy the machine is. In CI the same cases every time: a find there would
# stop a change that did not cause it.
settings.register_profile(
    "default",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("default")

# Before TensorFlow is imported anywhere: what it logs about the CPU is no test's business.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

ROOT = Path(__file__).parents[1]

_checkcache = linecache.checkcache


def _checkcache_undisturbed(filename: str | None = None) -> None:
    # Each doctest begins with it. It fails where an entry goes away meanwhile, as SQLAlchemy's do
    # when their classes are collected as garbage.
    enabled = gc.isenabled()
    gc.disable()
    try:
        _checkcache(filename)
    finally:
        if enabled:
            gc.enable()


linecache.checkcache = _checkcache_undisturbed


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Pass over helpers, golden code and recipes: no doctest is in them, and they import much."""
    name = collection_path.name
    helper = name.endswith(".py") and not name.startswith("test_") and name != "conftest.py"
    return True if helper else None


_APPRAISE = "barrage_mlflow.training.train.appraise"
_PROVE = "barrage_mlflow.training.packaging.prove"
_PROCESSES = [f"barrage_mlflow.{at}.ModelProcess" for at in ("training.train", "commands.check")]


@pytest.fixture(scope="session", autouse=True)
def _unproved_models():
    """Leave proof and evaluation to the tests that are of them.

    A proof takes a process that imports TensorFlow, an evaluation draws pictures.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_PROVE, lambda *_: None)
        patch.setattr(_APPRAISE, lambda *_: {})
        for name in _PROCESSES:
            patch.setattr(name, nullcontext)
        yield


@pytest.fixture
def proved_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prove each model as trainings do outside of tests."""
    from barrage_mlflow.scoring.process import ModelProcess
    from barrage_mlflow.scoring.proof import prove

    monkeypatch.setattr(_PROVE, prove)
    for name in _PROCESSES:
        monkeypatch.setattr(name, ModelProcess)


@pytest.fixture
def evaluated_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evaluate each model as trainings do outside of tests."""
    from barrage_mlflow.training.appraisal import appraise

    monkeypatch.setattr(_APPRAISE, appraise)


@pytest.fixture(scope="session", autouse=True)
def _disk_not_waited_for():
    """Leave it to the system when files reach the disk, since no test cuts the power.

    A small training waits some 75 times, for a fifth of its time where the disk is slow.
    """
    from sqlalchemy import Engine, event

    def relax(connection: Any, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", relax)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield
    event.remove(Engine, "connect", relax)


@pytest.fixture(scope="session", autouse=True)
def _copied_databases():
    """Copy the first database that MLflow makes wherever it would make another empty one.

    It makes one by all the migrations that there ever were, which takes a second: more than most
    tests. What runs in a process of its own makes its databases itself.
    """
    from mlflow.store.db import utils

    make = utils._initialize_tables
    first = sqlite3.connect(":memory:", check_same_thread=False)

    def copy(engine: Any) -> None:
        with closing(engine.raw_connection()) as connection:
            if not first.execute("select name from sqlite_master").fetchall():
                make(engine)
                connection.driver_connection.backup(first)
            else:
                first.backup(connection.driver_connection)

    with closing(first), pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "_initialize_tables", copy)
        yield


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run each test in an empty folder, with nothing of the caller's MLflow settings."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    yield
    # What the test has set by MLflow itself, which a fixture of the next module would find.
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        del os.environ[name]
    if fluent := sys.modules.get("mlflow.tracking.fluent"):
        fluent._active_experiment_id = None


@pytest.fixture(autouse=True)
def _own_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back what the command line sets on the engine's logger."""
    logger = logging.getLogger("barrage_mlflow")
    for name in ("handlers", "propagate"):
        monkeypatch.setattr(logger, name, getattr(logger, name))


@pytest.fixture(autouse=True)
def _own_modules(monkeypatch: pytest.MonkeyPatch):
    """Forget a project's modules after the test: the next may bring others of the same name."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(model_code, "_adopted", {})
    yield
    installed = (sys.prefix, sys.base_prefix, str(ROOT / "barrage_mlflow"), str(ROOT / "tests"))
    for name in set(sys.modules) - before:
        source = getattr(sys.modules[name], "__file__", None)
        if source and not source.startswith(installed):
            del sys.modules[name]
