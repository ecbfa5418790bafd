"""The card of a model, and the descriptions of run, model and version that are made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
from small import small_config, small_frame

from barrage_mlflow import train
from barrage_mlflow.workspace.record import read_record

TRAIN, VALIDATION, TEST = small_frame(60, 0), small_frame(40, 1), small_frame(30, 2)


def trained(test: Any = None) -> tuple[str, str, str]:
    """The descriptions of run, model and version after a training, or when a test set is added."""
    config = small_config(services={"evaluation": {"plots": False, "importance": False}})
    options = {"records_test": test, "artifact_dir": "out", "resume": True, "register": "cats"}
    train(config, TRAIN, VALIDATION, **options)
    record, client = read_record(Path("out")), mlflow.MlflowClient()
    assert record is not None
    run, model = client.get_run(record.run_id), client.get_logged_model(model_id(record))
    notes = [tags["mlflow.note.content"] for tags in (run.data.tags, model.tags)]
    return *notes, client.get_model_version("cats", "1").description


def model_id(record: Any) -> str:
    return str(record.model_uri.rpartition("/")[2])


def card() -> str:
    text = Path("out/evaluation/card.md").read_text("utf-8")
    return text.replace("MODEL_URI", "models:/cats/1")


def test_run_model_and_version_are_described_by_the_card(evaluated_models: None) -> None:
    assert trained() == (card(), card(), card())
    for line in (
        "On validation: label accuracy ",
        "Predicts label from a, b.",
        "Trained on 60 records; the weights are those of epoch ",
        "**How good it is**, on 40 records of validation",
        "| label | log_loss |",
        "No group of these records stands out.",
        "mlflow models serve -m models:/cats/1 --env-manager local",
    ):
        assert line in card()
    assert trained(TEST) == (card(), card(), card())
    assert "on 30 records of test" in card()

    client, record = mlflow.MlflowClient(), read_record(Path("out"))
    assert record is not None
    client.set_tag(record.run_id, "mlflow.note.content", "Mine.")
    client.update_model_version("cats", "1", "Mine too.")
    assert trained(TEST[:20]) == ("Mine.", card(), "Mine too.")
    assert "on 20 records of test" in card()
