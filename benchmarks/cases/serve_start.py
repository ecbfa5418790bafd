"""How long a model server takes from its start to its first answer."""

from __future__ import annotations

from harness import Bench, Case, Goal, Row, in_turn
from model_server import model_server
from served_models import ServedModels, served_models

SIDES = ("ours", "keras")


def seconds_to_answer(models: ServedModels, side: str) -> float:
    """Start a server, and end it once it has answered."""
    with model_server(models.uris[side], models.folder) as server:
        return server.wait(models.one()[0])


def measure(bench: Bench) -> list[Row]:
    """Measure some starts of each side in every round."""
    with served_models(bench, "keras") as models:
        sides = {side: (lambda side=side: seconds_to_answer(models, side)) for side in SIDES}
        if not bench.short:
            in_turn(1, sides)  # what is loaded first comes from the disk
        taken = in_turn(bench.size(4, 1) * bench.rounds, sides)
    ours, keras = (taken[side] for side in SIDES)
    return [Row("serve_start", "Keras flavor", "s", ours, keras, Goal(1.0, at_most=True))]


CASES = [
    Case(
        "serve_start",
        """\
Seconds from the start of `mlflow models serve --env-manager local`, with the models of `serve`, to
the first answer to a request of one row, which is asked for every 10 ms. One server runs at a time,
in each round four of each side in turn, after one of each that does not count.""",
        measure,
    )
]
