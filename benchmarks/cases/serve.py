"""How soon a served model answers, beside the Keras flavor and a model that costs nothing."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import cycle, islice

from harness import Bench, Case, Goal, Row, in_turn
from load_client import Request, load
from model_server import model_servers
from served_models import ServedModels, served_models

Latencies = dict[str, list[float]]
"""Milliseconds of each request, by side."""


def latencies(
    bench: Bench, ports: Mapping[str, int], requests: Sequence[Request], warm: int, count: int
) -> Latencies:
    """Load servers in turn, slice by slice, on one connection each.

    Args:
        bench: tells the number of slices.
        ports: of the servers, by side.
        requests: sent over and over again.
        warm: how many to send before that, to each server.
        count: how many make a slice.
    """

    def slice_of(port: int) -> list[float]:
        return [1e3 * second for second in load(port, islice(cycle(requests), count)).latencies]

    for port in ports.values():
        load(port, islice(cycle(requests), warm))
    sides = {side: (lambda port=port: slice_of(port)) for side, port in ports.items()}
    taken = in_turn(bench.size(20, 2), sides)
    return {side: [each for part in parts for each in part] for side, parts in taken.items()}


def measure_round(bench: Bench, models: ServedModels) -> tuple[Latencies, Latencies]:
    """Serve all the models, and load them with one row at a time, then with many."""
    many = models.many()
    with model_servers(models.uris, models.folder, models.one()[0]) as ports:
        for side in ("ours", "keras", "exported"):
            models.check(ports[side])
        one = latencies(bench, ports, models.one(), bench.size(100, 2), bench.size(50, 2))
        pair = {side: ports[side] for side in ("ours", "keras")}
        return one, latencies(bench, pair, many, bench.size(5, 1), bench.size(5, 1))


def measure(bench: Bench) -> list[Row]:
    """Measure the latencies of every round."""
    with served_models(bench, "keras", "exported", "constants") as models:
        rounds = [measure_round(bench, models) for _ in range(bench.rounds)]

    def medians(part: int, side: str) -> list[float]:
        return [statistics.median(done[part][side]) for done in rounds]

    def p99(side: str) -> list[float]:
        return [statistics.quantiles(one[side], n=100)[-1] for one, _ in rounds]

    ours, keras = medians(0, "ours"), medians(0, "keras")
    exported = statistics.median(medians(0, "exported"))
    note = f"with save_exported_model the flavor takes {exported:.3g} ms"
    constants = medians(0, "constants")
    many, keras_many = medians(1, "ours"), medians(1, "keras")
    most = partial(Goal, at_most=True)
    return [
        Row("serve, p50", "Keras flavor", "ms", ours, keras, most(0.16), note),
        Row("serve, p99", "Keras flavor", "ms", p99("ours"), p99("keras"), most(0.25)),
        Row("serve, p50", "constants", "ms", ours, constants, most(1.3)),
        Row("serve, 1,000 rows", "Keras flavor", "ms", many, keras_many, most(0.4)),
    ]


CASES = [
    Case(
        "serve",
        """\
The network of `mlp_256` behind `mlflow models serve --env-manager local`, uvloop installed: a
request of one row of 20 named columns as `dataframe_split`, on one keep-alive connection; *p50* and
*p99* are of the latencies of 1,000 requests, and *1,000 rows* is the p50 of 100 requests of so many
rows. All servers are up, and after a warming up one at a time is loaded, in 20 slices in turn. The
client is a plain socket that sends ready bytes, and reads and checks each answer after its clock
has stopped; that the servers give the network's scores is checked as well. *Keras flavor* is the
same network, with the same weights, logged by `mlflow.keras.log_model` as its documentation shows:
it refuses a signature of named columns, and takes the columns of the frame as one tensor
`(-1, 20)`, which costs it no more than no signature at all. The note of *p50* tells what it takes
with its option `save_exported_model`, which is off unless asked for. *constants* is a pyfunc with
the signature of ours that answers with a list that it holds ready: what MLflow's server takes by
itself.""",
        measure,
    )
]
