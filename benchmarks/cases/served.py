"""How soon, how often and with how much memory a served model answers."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, cycle, islice, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from data import COLUMNS, build_mlp, features_config, few, mlp_config, read_arrays
from harness import MB, Bench, Row, in_turn
from outside import serving, wait_for

CONNECTIONS = 8
_PATIENCE = 180
"""Seconds within which a server must answer."""
_TOLERANCE = 1e-5
"""By how much the scores of float32 may differ between servers and batch sizes."""
_READY = "Application startup complete."
"""What uvicorn writes once for each worker."""


def package(path: str, table: str, features: bool = False) -> dict[str, Any]:
    """Train ours, and log its network as others would, into the store of a folder.

    With features, the other network takes the numbers as they are, and so has scores of its own.
    """
    os.chdir(path)

    import keras
    import mlflow
    from mlflow.models import infer_signature

    from barrage_mlflow import BarrageModel
    from barrage_mlflow.scoring.dependencies import requirements

    trained = keras.callbacks.Callback()
    model = BarrageModel("artifacts")
    config = (features_config if features else mlp_config)(256, epochs=1)
    result = model.train(config, table, table, callbacks=[trained])
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
    answers = model.predict(table) if features else scores
    ours, keras_scores = ([_number(each) for each in side] for side in (answers, scores))
    return {"uris": uris, "rows": x.tolist(), "scores": {"ours": ours, "keras": keras_scores}}


@dataclass(frozen=True)
class Models:
    """Packaged models and what to ask them.

    Attributes:
        folder: has their store.
        uris: of ``ours``, and of the same network in the ``keras`` flavor.
        rows: 1,000 of 20 numbers.
        scores: by side, what the network gives for each.
    """

    folder: Path
    uris: dict[str, str]
    rows: list[list[float]]
    scores: dict[str, list[float]]

    def one_row(self) -> list[bytes]:
        """Requests of one row each."""
        return [body([row]) for row in self.rows[:64]]

    @contextmanager
    def served(self, name: str, workers: int = 1) -> Iterator[int]:
        """Serve a model from the active environment; its port, once it has answered a request."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        options = ["--env-manager", "local", "--workers", str(workers)]
        store = {"MLFLOW_TRACKING_URI": f"sqlite:///{self.folder}/mlflow.db"}
        with serving(self.uris[name], folder, *options, **store) as address:
            port = int(address.rpartition(":")[2])
            load(port, self.one_row()[:1])
            log = folder / "server.log"
            wait_for(lambda: log.read_text("utf-8").count(_READY) >= workers)
            yield port

    @contextmanager
    def all_served(self, workers: int = 1) -> Iterator[dict[str, int]]:
        """Serve all side by side; their ports.

        Raises:
            ValueError: one gives other scores than the network.
        """
        with ExitStack() as stack:
            ports = {name: stack.enter_context(self.served(name, workers)) for name in self.uris}
            for name, port in ports.items():
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
                given = [_number(each) for each in ask(connection, body(self.rows))]
                connection.close()
                worst = max(abs(a - b) for a, b in zip(given, self.scores[name], strict=True))
                if not worst <= _TOLERANCE:
                    raise ValueError(f"{name}: a served score is off by {worst}")
            yield ports


def _number(prediction: Any) -> float:
    """The only number in a prediction, whatever it is in."""
    while not isinstance(prediction, float | np.floating):
        (prediction,) = prediction.values() if isinstance(prediction, dict) else prediction
    return float(prediction)


@contextmanager
def packaged(bench: Bench, features: bool = False) -> Iterator[Models]:
    """Train and package ours and its peer, in a folder that goes away with them."""
    with bench.folder() as folder:
        given = {"path": str(folder), "table": few(bench), "features": features}
        yield Models(folder, **bench.call(package, **given))


def body(rows: list[list[float]]) -> bytes:
    """A request of rows as ``dataframe_split``."""
    return json.dumps({"dataframe_split": {"columns": COLUMNS, "data": rows}}).encode()


def ask(connection: http.client.HTTPConnection, request: bytes) -> list[Any]:
    """Send a request on a keep-alive connection; return the predictions.

    Raises:
        ValueError: the answer is a fault.
    """
    connection.request("POST", "/invocations", request, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise ValueError(f"{answer.status} {answer.reason}\n{content[:2_000].decode()}")
    predictions: list[Any] = json.loads(content)["predictions"]
    return predictions


def load(port: int, requests: Iterable[bytes], connections: int = 1) -> list[float]:
    """Send requests until there are no more, on new connections, each one after another.

    Returns:
        Milliseconds of each.
    """
    waiting = iter(requests)

    def one_connection(_: int) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        taken = []
        for request in waiting:
            start = time.perf_counter()
            ask(connection, request)
            taken.append(1e3 * (time.perf_counter() - start))
        connection.close()
        return taken

    with ThreadPoolExecutor(connections) as pool:
        return list(chain.from_iterable(pool.map(one_connection, range(connections))))


def by_side(ports: Mapping[str, int], call: Callable[[int], Any]) -> dict[str, Callable[[], Any]]:
    """What measures each side, from what measures a port."""
    return {side: (lambda port=port: call(port)) for side, port in ports.items()}


def latencies(
    bench: Bench, ports: Mapping[str, int], requests: Sequence[bytes], count: int
) -> dict[str, list[float]]:
    """Milliseconds of each request, by side, in slices of so many on one connection each."""
    sides = by_side(ports, lambda port: load(port, islice(cycle(requests), count)))
    in_turn(1, sides)  # warms them up
    taken = in_turn(bench.size(20, 2), sides)
    return {side: [each for part in parts for each in part] for side, parts in taken.items()}


def measure_latency(bench: Bench) -> list[Row]:
    """Load the servers of every round with one row at a time, then with many."""
    one_row, many_rows, features = [], [], []
    with packaged(bench) as models, packaged(bench, features=True) as of_features:
        for _ in range(bench.rounds):
            with models.all_served() as ports:
                one_row.append(latencies(bench, ports, models.one_row(), bench.size(50, 2)))
                many_rows.append(latencies(bench, ports, [body(models.rows)], bench.size(5, 1)))
            with of_features.all_served() as ports:
                features.append(latencies(bench, ports, models.one_row(), bench.size(50, 2)))

    def row(name: str, taken: list[dict[str, list[float]]], figure: Any, goal: str) -> Row:
        ours, keras = ([figure(each[side]) for each in taken] for side in ("ours", "keras"))
        return Row(f"serve, {name}", "Keras flavor", "ms", ours, keras, goal)

    def p99(times: list[float]) -> float:
        return statistics.quantiles(times, n=100)[-1]

    return [
        row("p50", one_row, statistics.median, "≤ 0.16"),
        row("p99", one_row, p99, "≤ 0.25"),
        row("1,000 rows", many_rows, statistics.median, "≤ 0.4"),
        row("features", features, statistics.median, "≤ 0.2"),
    ]


def measure_rate(bench: Bench) -> list[Row]:
    """Load two workers of each side, in turn, with as many requests as they answer."""
    seconds = bench.size(4.0, 0.2)
    rates: dict[str, list[float]] = {"ours": [], "keras": []}

    def slice_of(port: int) -> int:
        # Each slice has new connections, which the workers share out among them anew.
        end = time.perf_counter() + seconds
        requests = takewhile(lambda _: time.perf_counter() < end, cycle(models.one_row()))
        return len(load(port, requests, CONNECTIONS))

    with packaged(bench) as models:
        for _ in range(bench.rounds):
            with models.all_served(workers=2) as ports:
                sides = by_side(ports, slice_of)
                in_turn(1, sides)
                for name, counts in in_turn(bench.size(10, 1), sides).items():
                    rates[name].append(sum(counts) / seconds / len(counts))
    return [Row("serve_many", "Keras flavor", "requests/s", *rates.values(), "≥ 8.0")]


def measure_start(bench: Bench) -> list[Row]:
    """Measure some starts of each side in every round."""
    with packaged(bench) as models:

        def seconds(name: str) -> float:
            start = time.perf_counter()
            with models.served(name):
                return time.perf_counter() - start

        sides = {name: (lambda name=name: seconds(name)) for name in models.uris}
        if not bench.short:
            in_turn(1, sides)  # what is loaded first comes from the disk
        taken = in_turn(bench.size(4, 1) * bench.rounds, sides)
    return [Row("serve_start", "Keras flavor", "s", taken["ours"], taken["keras"], "≤ 1.0")]


def measure_memory(bench: Bench) -> list[Row]:
    """Measure the memory of one server as it answers."""
    count = bench.size(10_000, 50)
    with packaged(bench) as models, models.served("ours") as port:
        levels = []
        for _ in range(10):
            load(port, islice(cycle(models.one_row()), count), CONNECTIONS)
            levels.append(memory(port))
    note = "one server; after each tenth: " + ", ".join(f"{level:.0f}" for level in levels)
    return [Row("serve_memory", "after 10,000", "MB", levels[-1:], levels[:1], "≤ 1.05", note)]


def memory(port: int) -> float:
    """Resident memory of the server of a port, the largest of its processes; MB."""
    command = ["ps", "-A", "-ww", "-o", "rss=,args="]  # whatever COLUMNS says
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = [line for line in shown.splitlines() if f"--port {port}" in line]
    return max(int(line.split()[0]) * 1024 for line in lines) / MB


CASES = {
    "serve": measure_latency,
    "serve_many": measure_rate,
    "serve_start": measure_start,
    "serve_memory": measure_memory,
}
