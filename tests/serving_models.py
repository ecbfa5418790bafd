"""Small models that are trained and served for real, and a client that sends what it is given."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from request_parts import FORMATS, Answer, Column, Model
from servers import free_port
from serving_parts import COLOURS, FINISHES, PHOTO, encode_photo

PATIENCE = 300
"""Seconds within which there must be an answer."""
_GOOD = 20
"""Good records of each model."""


@dataclass(frozen=True)
class Project:
    """A model before it is trained.

    Attributes:
        loader: its import block.
        transformer: its import path.
        network: its import path.
        records: to train on.
        columns: what it reads.
        formats: the formats in which the server takes good records of it.
    """

    loader: dict[str, Any]
    transformer: str
    network: str
    records: pd.DataFrame
    columns: tuple[Column, ...]
    formats: tuple[str, ...]


def _scalars() -> Project:
    """A column of each plain type, and a transformer that takes no word that it does not know."""
    generator = np.random.default_rng(1)
    count = 64
    weight = generator.normal(size=count)
    weight[::5] = np.nan
    records = {
        "height": generator.normal(size=count),
        "count": generator.integers(0, 200, count),
        "ready": generator.random(count) < 0.5,
        "colour": generator.choice(COLOURS, count),
        "finish": generator.choice(np.array([None, *FINISHES]), count),
        "weight": weight,
        "label": generator.integers(0, 2, count),
    }
    inputs = {name: name for name in ("ready", "colour", "finish", "weight")}
    params = {"inputs": {"numbers": ["height", "count"], **inputs}, "outputs": {"label": "label"}}
    columns = (
        Column("height", "number"),
        Column("count", "integer"),
        Column("ready", "boolean"),
        Column("colour", "text"),
        Column("finish", "text", optional=True),
        Column("weight", "number", optional=True),
    )
    return Project(
        {"import": "KeySelector", "params": params},
        "serving_parts.StrictTransformer",
        "serving_parts.scalars_network",
        pd.DataFrame(records),
        columns,
        tuple(FORMATS),
    )


def _lists() -> Project:
    """Lists, images as lists, PNG files in base64 and bytes, by a loader of its own."""
    generator = np.random.default_rng(2)
    count = 64
    photos = generator.integers(0, 256, (count, PHOTO, PHOTO), dtype=np.uint8)
    records = {
        "level": generator.normal(size=count),
        "series": generator.normal(size=(count, 5)).tolist(),
        "image": generator.integers(0, 17, (count, 8, 8)).tolist(),
        "photo": [encode_photo(photo) for photo in photos],
        "raw": [generator.bytes(6) for _ in range(count)],
        "label": generator.integers(0, 2, count),
    }
    columns = (
        Column("level", "number"),
        Column("series", "list"),
        Column("image", "image"),
        Column("photo", "photo"),
        Column("raw", "bytes"),
    )
    return Project(
        {"import": "serving_parts.ListsLoader"},
        "IdentityTransformer",
        "serving_parts.lists_network",
        pd.DataFrame(records),
        columns,
        ("dataframe_split", "dataframe_records"),
    )


PROJECTS = {"scalars": _scalars, "lists": _lists}


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
        model: what requests to it must know.
        folder: of the packaged model.
        scores: of all good records at once, as JSON has them.
        alone: of each by itself; how float32 is summed up may differ.
    """

    model: Model
    folder: Path
    scores: list[dict[str, Any]]
    alone: list[dict[str, Any]]


def train(folder: Path, name: str) -> Trained:
    """Train a model, unless the folder has it from an earlier call; score some records offline."""
    from barrage_mlflow import Scorer
    from barrage_mlflow.dataset import Records
    from barrage_mlflow.scoring.scores import to_frame

    project, home = PROJECTS[name](), folder / name
    if not (home / "out" / "run.json").exists():
        _train(home, project)
    few = Records.read(home / "train.parquet")[:_GOOD]
    names = [column.name for column in project.columns]
    records = [{name: _plain(record[name]) for name in names} for record in few]
    scorer = Scorer.load(home / "out")
    scores = to_frame(scorer.score(few)).to_dict("records")
    alone = [to_frame(scorer.score(few[n : n + 1])).to_dict("records")[0] for n in range(_GOOD)]
    model = Model(name, project.columns, records, project.formats)
    return Trained(model, home / "out" / "model", scores, alone)


def _train(home: Path, project: Project) -> None:
    home.mkdir()
    shutil.copy(Path(__file__).with_name("serving_parts.py"), home)
    loss = {"import": "sparse_categorical_crossentropy"}
    config = {
        "dataset": {
            "loader": project.loader,
            "transformer": {"import": project.transformer},
            "seed": 7,
        },
        "model": {
            "network": {"import": project.network},
            "outputs": [{"name": "label", "loss": loss}],
        },
        "solver": {"batch_size": 16, "epochs": 2},
    }
    (home / "config.json").write_text(json.dumps(config), "utf-8")
    project.records.to_parquet(home / "train.parquet")
    files = ["config.json", "train.parquet", "train.parquet"]
    command = [sys.executable, "-m", "barrage_mlflow", "train", *files, "--offline"]
    ended = subprocess.run(
        [*command, "--artifact-dir", "out"], cwd=home, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RuntimeError(ended.stdout + ended.stderr)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value


class Server(AbstractContextManager["Server"]):
    """``mlflow models serve`` of one model."""

    def __init__(self, folder: Path, trained: Trained) -> None:
        self.port = free_port()
        self._log = folder / f"{trained.model.name}.log"
        command = [Path(sys.executable).parent / "mlflow", "models", "serve", "-m", trained.folder]
        paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--env-manager", "local", "-h", "127.0.0.1", "-p", str(self.port)],
                cwd=folder,
                env={**os.environ, "PATH": os.pathsep.join(paths)},
                stdout=log,
                stderr=log,
                # A group of its own: it starts a process that starts a process.
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self._log.read_text("utf-8"))
            time.sleep(0.2)
        self._first = sorted(self._processes())

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        return False

    def _processes(self) -> dict[int, int]:
        """The processes of the server, and the bytes that each holds in memory."""
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,pgid=,rss="], check=True, capture_output=True, text=True
        )
        rows = (map(int, line.split()) for line in listed.stdout.splitlines())
        return {pid: rss * 1024 for pid, group, rss in rows if group == self._process.pid}

    def memory(self) -> int:
        """The bytes that the one that scores holds in memory."""
        return max(self._processes().values(), default=0)

    def is_unharmed(self) -> bool:
        """Whether its processes are those of the start."""
        return self._process.poll() is None and self._first == sorted(self._processes())

    def tracebacks(self) -> int:
        """How many tracebacks the server has logged."""
        return self._log.read_bytes().count(b"Traceback (most recent call last)")

    def send(self, wire: bytes) -> Answer:
        """Send the bytes of a request over a connection of its own, and wait for the answer."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
                # A server that refuses a request early closes while it is still being sent.
                with suppress(ConnectionError):
                    connection.sendall(wire)
                response = http.client.HTTPResponse(connection)
                response.begin()
                return Answer(response.status, response.read())
        except (OSError, http.client.HTTPException):
            return Answer(None)

    def __exit__(self, *raised: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
