"""Packaged models behind ``mlflow models serve``, and requests to them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from data import COLUMNS, build_mlp, few, mlp_config, read_arrays
from harness import MB, Bench, CaseError

_PATIENCE = 180
"""Seconds within which a server must start, and answer."""
_TOLERANCE = 1e-5
"""By how much the scores of float32 may differ between servers and batch sizes."""
_READY = "Application startup complete."
"""What uvicorn writes once for each worker."""


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def server_process(
    command: list[str], folder: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Start a server as a group of processes that ends with the context; with its log.

    Args:
        command: of a Python module, with its arguments.
        folder: where it runs and writes its log.
    """
    # MLflow looks for uvicorn on the path, where the active environment need not come first.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process, log
    finally:
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(answers: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers.

    Raises:
        CaseError: it ended, or takes too long.
    """
    deadline = time.perf_counter() + _PATIENCE
    while not answers():
        if process.poll() is not None or time.perf_counter() > deadline:
            raise CaseError(f"the server did not start:\n{log.read_text('utf-8')[-2_000:]}")
        time.sleep(0.01)


def body(rows: list[list[float]]) -> bytes:
    """A request of rows as ``dataframe_split``."""
    return json.dumps({"dataframe_split": {"columns": COLUMNS, "data": rows}}).encode()


def ask(connection: http.client.HTTPConnection, request: bytes) -> tuple[float, list[Any]]:
    """Send a request on a keep-alive connection.

    Returns:
        Seconds to the last byte of its answer, and the predictions.

    Raises:
        CaseError: the answer is a fault.
    """
    start = time.perf_counter()
    connection.request("POST", "/invocations", request, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    seconds = time.perf_counter() - start
    if answer.status != 200:
        raise CaseError(f"{answer.status} {answer.reason}\n{content[:2_000].decode()}")
    predictions: list[Any] = json.loads(content)["predictions"]
    return seconds, predictions


def load(port: int, requests: Iterable[bytes], connections: int = 1) -> list[float]:
    """Send requests until there are no more, on new connections, each one after another.

    Returns:
        Seconds of each.
    """
    waiting = iter(requests)

    def one_connection(_: int) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        try:
            return [ask(connection, request)[0] for request in waiting]
        finally:
            connection.close()

    with ThreadPoolExecutor(connections) as pool:
        return list(chain.from_iterable(pool.map(one_connection, range(connections))))


@dataclass(frozen=True)
class Server:
    """A model server that answers.

    Attributes:
        port: where it listens.
        seconds: from its start to its first answer.
        group: of its processes.
    """

    port: int
    seconds: float
    group: int

    def memory(self) -> float:
        """Resident memory of the process that answers, the largest of the group; MB."""
        command = ["ps", "-A", "-o", "pgid=,rss="]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        lines = [line.split() for line in shown.splitlines()]
        return max(int(rss) * 1024 for group, rss in lines if int(group) == self.group) / MB


@dataclass(frozen=True)
class Models:
    """Packaged models and what to ask them.

    Attributes:
        folder: has their store.
        uris: of ``ours``, and of the same network in the ``keras`` flavor.
        rows: 1,000 of 20 numbers.
        scores: what the network gives for each.
    """

    folder: Path
    uris: dict[str, str]
    rows: list[list[float]]
    scores: list[float]

    def one(self) -> list[bytes]:
        """Requests of one row each."""
        return [body([row]) for row in self.rows[:64]]

    @contextmanager
    def served(self, name: str, workers: int = 1) -> Iterator[Server]:
        """Serve a model from the active environment; its scores are checked.

        Raises:
            CaseError: it does not start, or its scores are not the network's.
        """
        port, begin = free_port(), time.perf_counter()
        place = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
        command = ["mlflow", "models", "serve", "-m", self.uris[name], "--env-manager", "local"]
        folder = self.folder / f"server-{port}"
        folder.mkdir()
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{self.folder}/mlflow.db"
        with server_process([*command, *place], folder) as (process, log):

            def answers() -> bool:
                try:
                    return bool(load(port, self.one()[:1]))
                except OSError:
                    return False

            wait_until(answers, process, log)
            seconds = time.perf_counter() - begin
            wait_until(lambda: log.read_text("utf-8").count(_READY) >= workers, process, log)
            self._check(port)
            yield Server(port, seconds, process.pid)

    def _check(self, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        given = [_number(each) for each in ask(connection, body(self.rows))[1]]
        connection.close()
        worst = max(abs(a - b) for a, b in zip(given, self.scores, strict=True))
        if not worst <= _TOLERANCE:
            raise CaseError(f"a served score is off by {worst}")


def _number(prediction: Any) -> float:
    """The only number in a prediction, whatever holds it."""
    while not isinstance(prediction, float):
        (prediction,) = prediction.values() if isinstance(prediction, dict) else prediction
    return prediction


@contextmanager
def packaged(bench: Bench) -> Iterator[Models]:
    """Train and package ours and its peer, in a folder that goes away with them."""
    with bench.folder() as folder:
        made = bench.call(package, path=str(folder), table=few(bench)).value
        yield Models(folder, **made)


def package(path: str, table: str) -> dict[str, Any]:
    """Train ours, and log its network as others would, into the store of a folder."""
    os.chdir(path)

    import keras
    import mlflow
    from mlflow.models import infer_signature

    from barrage_mlflow import BarrageModel
    from barrage_mlflow.scoring.dependencies import requirements

    trained = keras.callbacks.Callback()
    model = BarrageModel("artifacts")
    result = model.train(mlp_config(256, epochs=1), table, table, callbacks=[trained])
    network = build_mlp()
    network.set_weights(trained.model.get_weights())
    x, _ = read_arrays(table)
    scores, pins = network.predict(x, verbose=0), requirements()
    with mlflow.start_run():
        # The flavor takes no signature of named columns; it reads them as one tensor.
        keras_uri = mlflow.keras.log_model(
            network, name="keras", signature=infer_signature(x, scores), pip_requirements=pins
        ).model_uri
    uris = {"ours": result.model_uri, "keras": keras_uri}
    rows = x.astype("float64").tolist()
    return {"uris": uris, "rows": rows, "scores": scores[:, 0].tolist()}
