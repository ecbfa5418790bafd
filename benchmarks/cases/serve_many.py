"""How many requests a served model answers in a second."""

from __future__ import annotations

from collections.abc import Mapping

from harness import Bench, Case, Goal, Row, in_turn
from load_client import for_seconds, load
from model_server import model_servers
from served_models import ServedModels, served_models

CONNECTIONS = 8
WORKERS = 2
SIDES = ("ours", "keras")


def rates(bench: Bench, ports: Mapping[str, int], models: ServedModels) -> dict[str, float]:
    """Load servers in turn, slice by slice; return the requests/s of each."""
    requests = models.one()
    seconds = bench.size(4.0, 0.5)

    def slice_of(port: int) -> tuple[int, float]:
        # Each slice has new connections, which the workers share out among them anew.
        done = load(port, for_seconds(requests, seconds), CONNECTIONS)
        return len(done.latencies), done.seconds

    for port in ports.values():
        slice_of(port)
    sides = {side: (lambda port=port: slice_of(port)) for side, port in ports.items()}
    taken = in_turn(bench.size(10, 1), sides)
    return {
        side: sum(answers for answers, _ in parts) / sum(seconds for _, seconds in parts)
        for side, parts in taken.items()
    }


def measure(bench: Bench) -> list[Row]:
    """Measure both sides in every round."""
    rounds = []
    with served_models(bench, "keras") as models:
        for _ in range(bench.rounds):
            with model_servers(models.uris, models.folder, models.one()[0], WORKERS) as ports:
                for port in ports.values():
                    models.check(port)
                rounds.append(rates(bench, ports, models))
    ours, keras = ([done[side] for done in rounds] for side in SIDES)
    return [Row("serve_many", "Keras flavor", "requests/s", ours, keras, Goal(8.0))]


CASES = [
    Case(
        "serve_many",
        """\
The servers of `serve` with `--workers 2`, and its requests of one row on 8 keep-alive connections
of one client process, each sending the next request when it has its answer: requests/s over ten
slices of four seconds, in turn with the Keras flavor; both servers are up, and each slice has new
connections, since workers share them out unevenly. uvloop is installed: without it uvicorn's
workers answer with a delay, on both sides.""",
        measure,
    )
]
