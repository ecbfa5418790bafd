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
from collections.abc import Iterable
from contextlib import AbstractContextManager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from servers import free_port
from serving_parts import COLOURS, FINISHES, PHOTO, encode_photo
from serving_requests import JSON_FORMATS, Answer, Column, Request
from serving_requests import http as to_http

TESTS = Path(__file__).parent
PENGUINS = TESTS.parent / "examples" / "penguins"
PATIENCE = 300
"""Seconds within which there must be an answer."""
_BRIEF = 20
"""Seconds to wait for one to what may be no request at all."""
_GOOD = 20
"""Good records of each model."""


# --- The models -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Project:
    """A model before it is trained.

    Attributes:
        name: its folder.
        config: the config.
        train: its records.
        columns: what it reads.
        must_take: the formats that the server must take good records in.
        module: its code.
        many: how many records it is to score at once.
    """

    name: str
    config: dict[str, Any]
    train: pd.DataFrame
    columns: tuple[Column, ...]
    must_take: tuple[str, ...]
    module: Path
    many: int = 100_000


def _small_config(loader: dict[str, Any], transformer: str, network: str) -> dict[str, Any]:
    output = {
        "name": "label",
        "loss": {"import": "sparse_categorical_crossentropy"},
        "metrics": [{"import": "accuracy"}],
    }
    return {
        "dataset": {"loader": loader, "transformer": {"import": transformer}, "seed": 7},
        "model": {"network": {"import": network}, "outputs": [output]},
        "solver": {"batch_size": 16, "epochs": 2},
    }


def _penguins() -> Project:
    measurements = ("bill_length_mm", "bill_depth_mm", "flipper_length_mm")
    config = json.loads((PENGUINS / "config.json").read_text("utf-8"))
    config["solver"]["epochs"] = 5
    columns = (
        Column("island", "text", lenient=True),
        *(Column(name, "number", optional=True) for name in measurements),
        Column("sex", "text", optional=True, lenient=True),
        Column("year", "integer", lenient=True),
    )
    train = pd.read_csv(PENGUINS / "train.csv")
    return Project(
        "penguins", config, train, columns, tuple(JSON_FORMATS), PENGUINS / "penguins.py"
    )


def _scalars() -> Project:
    """A column of each plain type, and a transformer that takes no word that it does not know."""
    generator = np.random.default_rng(1)
    count = 64
    weight = generator.normal(size=count)
    weight[::5] = np.nan
    train = pd.DataFrame(
        {
            "height": generator.normal(size=count),
            "count": generator.integers(0, 200, count),
            "ready": generator.random(count) < 0.5,
            "colour": generator.choice(COLOURS, count),
            "finish": generator.choice(np.array([None, *FINISHES]), count),
            "weight": weight,
            "label": generator.integers(0, 2, count),
        }
    )
    inputs = {
        "numbers": ["height", "count"],
        "ready": "ready",
        "colour": "colour",
        "finish": "finish",
        "weight": "weight",
    }
    selector = {"inputs": inputs, "outputs": {"label": "label"}}
    config = _small_config(
        {"import": "KeySelector", "params": selector},
        "serving_parts.StrictTransformer",
        "serving_parts.scalars_network",
    )
    columns = (
        Column("height", "number"),
        Column("count", "integer"),
        Column("ready", "boolean"),
        Column("colour", "text"),
        Column("finish", "text", optional=True),
        Column("weight", "number", optional=True),
    )
    module = TESTS / "serving_parts.py"
    return Project("scalars", config, train, columns, tuple(JSON_FORMATS), module)


def _lists() -> Project:
    """Lists, images as lists, PNG files in base64 and bytes, by a loader of its own."""
    generator = np.random.default_rng(2)
    count = 64
    photos = generator.integers(0, 256, (count, PHOTO, PHOTO), dtype=np.uint8)
    train = pd.DataFrame(
        {
            "level": generator.normal(size=count),
            "series": generator.normal(size=(count, 5)).tolist(),
            "image": generator.integers(0, 17, (count, 8, 8)).tolist(),
            "photo": [encode_photo(photo) for photo in photos],
            "raw": [generator.bytes(6) for _ in range(count)],
            "label": generator.integers(0, 2, count),
        }
    )
    config = _small_config(
        {"import": "serving_parts.ListsLoader"},
        "IdentityTransformer",
        "serving_parts.lists_network",
    )
    columns = (
        Column("level", "number"),
        Column("series", "list"),
        Column("image", "image"),
        Column("photo", "photo"),
        Column("raw", "bytes"),
    )
    must_take = ("dataframe_split", "dataframe_records")
    module = TESTS / "serving_parts.py"
    return Project("lists", config, train, columns, must_take, module, many=10_000)


PROJECTS = {"penguins": _penguins, "scalars": _scalars, "lists": _lists}


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
        project: what it was made of.
        uri: where MLflow has it.
        records: good ones.
        scores: of all of them at once, as JSON has them.
        alone: of each by itself; how float32 is summed up may differ.
    """

    project: Project
    uri: str
    records: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    alone: list[dict[str, Any]]


def train(folder: Path, name: str) -> Trained:
    """Train a model, unless the folder has it from an earlier call; score some records offline."""
    from barrage_mlflow import Scorer
    from barrage_mlflow.dataset import Records
    from barrage_mlflow.scoring.scorer import to_frame

    project = PROJECTS[name]()
    home = folder / name
    if not (home / "out" / "result.json").exists():
        _train(folder, project)
    run_id = json.loads((home / "out" / "run.json").read_text("utf-8"))["run_id"]
    few = Records.read(home / "train.parquet")[:_GOOD]
    names = [column.name for column in project.columns]
    records = [{name: _plain(record[name]) for name in names} for record in few]
    scorer = Scorer.load(home / "out")
    scores = to_frame(scorer.score(few)).to_dict("records")
    alone = [to_frame(scorer.score(few[n : n + 1])).to_dict("records")[0] for n in range(_GOOD)]
    return Trained(project, f"runs:/{run_id}/model", records, scores, alone)


def _train(folder: Path, project: Project) -> None:
    home = folder / project.name
    home.mkdir()
    shutil.copy(project.module, home)
    (home / "config.json").write_text(json.dumps(project.config), "utf-8")
    project.train.to_parquet(home / "train.parquet")
    files = ["config.json", "train.parquet", "train.parquet"]
    ended = subprocess.run(
        [sys.executable, "-m", "barrage_mlflow", "train", *files, "--artifact-dir", "out"],
        cwd=home,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(ended.stdout + ended.stderr)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value


def environment(folder: Path) -> dict[str, str]:
    """The variables that a training and its server are started with."""
    variables = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    return {name: value for name, value in variables.items() if name != "MLFLOW_RUN_ID"}


# --- The server and its client --------------------------------------------------------------------


class Server(AbstractContextManager["Server"]):
    """``mlflow models serve`` of one model."""

    def __init__(self, folder: Path, trained: Trained) -> None:
        self.port = free_port()
        self.log = folder / f"{trained.project.name}.log"
        command = [Path(sys.executable).parent / "mlflow", "models", "serve", "-m", trained.uri]
        address = ["-h", "127.0.0.1", "-p", str(self.port)]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*command, "--env-manager", "local", *address],
                cwd=folder,
                env=environment(folder),
                stdout=log,
                stderr=log,
                # A group of its own: it starts a process that starts a process.
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self.log.read_text("utf-8"))
            time.sleep(0.2)
        self._processes = self.processes()

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/ping")
            return connection.getresponse().status == 200
        return False

    def processes(self) -> dict[int, int]:
        """The processes of the server, and the bytes that each holds in memory."""
        listed = subprocess.run(
            ["ps", "-A", "-o", "pid=,pgid=,rss="], check=True, capture_output=True, text=True
        )
        rows = (map(int, line.split()) for line in listed.stdout.splitlines())
        return {pid: rss * 1024 for pid, group, rss in rows if group == self._process.pid}

    def memory(self) -> int:
        """The bytes that the one that scores holds in memory."""
        return max(self.processes().values(), default=0)

    def fault(self) -> str:
        """What has become of its processes, if they are not those of the start."""
        if self._process.poll() is not None:
            return f"the server ended with status {self._process.returncode}"
        before, after = sorted(self._processes), sorted(self.processes())
        return "" if before == after else f"the processes were {before} and are now {after}"

    def tracebacks(self) -> int:
        """How many tracebacks the server has logged."""
        return self.log.read_bytes().count(b"Traceback (most recent call last)")

    def __exit__(self, *raised: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


class Client:
    """Sends requests over one connection as long as the server keeps it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def ask(self, request: Request) -> Answer:
        """Send a request and wait for the answer."""
        if request.wire:
            # What is broken may end the connection, or leave rubbish in it.
            self.close()
            answer = self._send(request.wire, 0.02, _BRIEF, request.hang_up)
            self.close()
            return answer
        headers = [] if request.content_type is None else [("Content-Type", request.content_type)]
        message = to_http(request.body, *headers, *request.headers)
        kept = self._socket is not None
        answer = self._send((message,))
        if answer.status is None and kept:
            # The server closes a connection that nothing came over for a while.
            answer = self._send((message,))
        return answer

    def _send(
        self,
        pieces: Iterable[bytes],
        pause: float = 0,
        patience: float = PATIENCE,
        hang_up: bool = False,
    ) -> Answer:
        try:
            if self._socket is None:
                self._socket = socket.create_connection(("127.0.0.1", self._port), patience)
            # A server that refuses a request early closes while it is still being sent.
            with suppress(ConnectionError):
                for piece in pieces:
                    self._socket.sendall(piece)
                    time.sleep(pause)
            if hang_up:
                self.close()
                return Answer(None)
            response = http.client.HTTPResponse(self._socket)
            response.begin()
            body = response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            return Answer(None)
        if response.will_close:
            self.close()
        return Answer(response.status, response.headers.get("Content-Type", ""), body)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
