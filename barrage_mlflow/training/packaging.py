"""From a trained network to the packaged model, and a rehearsal of that before training."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from barrage_mlflow.config.output_names import output_names
from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.features.loader import has_images
from barrage_mlflow.scoring.dependencies import project_code, requirements
from barrage_mlflow.scoring.package import package_model, save_model
from barrage_mlflow.scoring.process import ModelProcess
from barrage_mlflow.scoring.proof import prove
from barrage_mlflow.scoring.saved_network import Arrays, Network, Scored
from barrage_mlflow.scoring.scorer import Scorer
from barrage_mlflow.scoring.scores import to_frame
from barrage_mlflow.training.prepare import Plan
from barrage_mlflow.workspace import layout as artifacts

if TYPE_CHECKING:
    import keras
    import pandas as pd

_EXAMPLE_RECORDS = 5
"""Records in the packaged model's input example, and in a rehearsal."""


def rehearse(plan: Plan) -> tuple[Arrays, bool]:
    """Score a few records with the untrained network, to find now what would break at the end.

    The network is left as it is.

    Args:
        plan: what was prepared.

    Returns:
        The scores after ``postprocess``, arrays ``(records, ...)`` by output; and whether they are
        those of the network. An untrained one may give what a trained one does not and
        ``postprocess`` rightly refuses: then 0.5 takes the place of each of its scores.

    Raises:
        RecordError: a record cannot be loaded or fed to the network.
        ComponentError: a component broke its contract, or gives what JSON does not hold.
        Exception: whatever loader or transformer raise, with the place as a note.
    """
    import keras

    def untrained(x: Arrays, batch_size: int) -> Scored:
        with keras.StatelessScope():  # a state that the network changes is changed in here alone
            made = plan.network(x, training=False)
        names = output_names(plan.config)
        return {name: keras.ops.convert_to_numpy(made[name]) for name in names}, {}

    def mild(x: Arrays, batch_size: int) -> Scored:
        scores, masks = untrained(x, batch_size)
        return {name: np.full_like(array, 0.5) for name, array in scores.items()}, masks

    failures: list[Exception] = []
    for network in (untrained, mild):
        try:
            scores = _scorer(plan, network).score(plan.sets["train"][:_EXAMPLE_RECORDS])
            to_frame(scores)
            return scores, not failures
        except Exception as error:
            failures.append(error)
    failures[0].add_note("found before training, on records scored by the untrained network")
    raise failures[0]


def package(plan: Plan, network: keras.Model, folder: Path, process: ModelProcess) -> Scorer:
    """Make an MLflow model of a network, and prove that it scores elsewhere as it does here.

    Args:
        plan: what was prepared.
        network: with the weights to keep.
        folder: the artifact folder, which has the project's code and the transformer.
        process: a clean process.

    Returns:
        What scores as the packaged model does.

    Raises:
        ComponentError: the packaged model does not score elsewhere as it does here.
    """
    model = folder / artifacts.MODEL
    data = model / artifacts.DATA
    shutil.rmtree(data / artifacts.NETWORK, ignore_errors=True)
    saved = save_model(data, plan.config, network, plan.specs, plan.schema, plan.reads)
    scorer = _scorer(plan, saved)
    rows = plan.sets["validation"][:_EXAMPLE_RECORDS].as_rows()
    example = Records.read(rows, schema=scorer.inputs)

    def score() -> pd.DataFrame:
        return to_frame(scorer.score(example))

    scores = score()
    code = sorted((folder / artifacts.CODE).glob("*"))
    needs = requirements(code, has_images(plan.train.transformer.loader))
    package_model(model, example, scores, needs, code, scorer.score_params)
    files = [Path(records.source) for records in plan.sets.values() if records.source]
    homes = [path.parent for path in (*files, *project_code(plan.config))]
    dtypes = {layer.compute_dtype for layer in network.layers}
    is_steady = prove(process, model, scores, score, [folder, Path.cwd(), *homes], dtypes)
    # One that draws at random has drawn by now: loaded, it begins anew, as it will elsewhere.
    return scorer if is_steady else Scorer.load(folder)


def _scorer(plan: Plan, network: Network) -> Scorer:
    return Scorer(plan.config, plan.transformer, network, plan.specs, plan.schema, plan.reads)
