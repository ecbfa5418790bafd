"""Describes run, model and version by the card of the model, unless somebody has described them."""

from __future__ import annotations

from collections.abc import Mapping

from barrage_mlflow.tracking.limits import TAG_LIMIT, shorten
from barrage_mlflow.tracking.store import Store
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.record import RunRecord

NOTE_TAG = "mlflow.note.content"
"""The description of a run or model, as MLflow's page shows it."""
CARD_TAG = "barrage.card"
"""The digest of a description that is a card, and so may be replaced by a later one."""


def describe(store: Store, record: RunRecord, card: str) -> None:
    """Make a card the description of a training's run and model, and of its version if it has one.

    Args:
        store: where the run is.
        record: of a training whose model is logged.
        card: in Markdown, with ``MODEL_URI`` for the model's.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    act, client, run_id = "describe the model", store.client, str(record.run_id)
    uri = record.version_uri or str(record.model_uri)
    text = shorten(card.replace(artifacts.MODEL_URI, uri), TAG_LIMIT, artifacts.CARD)
    described = {NOTE_TAG: text, CARD_TAG: artifacts.digest_of(text)}

    def is_to_change(before: str | None, tags: Mapping[str, str]) -> bool:
        is_ours = not before or artifacts.digest_of(before) == tags.get(CARD_TAG)
        return is_ours and text != before

    tags = store.read_run(run_id).data.tags
    if is_to_change(tags.get(NOTE_TAG), tags):
        for tag, value in described.items():
            store.call(act, client.set_tag, run_id, tag, value)
    model_id = str(record.model_uri).rpartition("/")[2]
    tags = store.call(act, client.get_logged_model, model_id).tags
    if is_to_change(tags.get(NOTE_TAG), tags):
        store.call(act, client.set_logged_model_tags, model_id, described)
    if record.version_uri:
        name, number = record.version_uri.removeprefix("models:/").rsplit("/", 1)
        version = store.call(act, client.get_model_version, name, number)
        if is_to_change(version.description, version.tags):
            digest = described[CARD_TAG]
            store.call(act, client.set_model_version_tag, name, number, CARD_TAG, digest)
            store.call(act, client.update_model_version, name, number, text)
