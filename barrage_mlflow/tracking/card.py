"""Describes a run and a version by the card of the model, unless somebody has described them."""

from __future__ import annotations

from collections.abc import Mapping

from barrage_mlflow.tracking.limits import TAG_LIMIT, shorten
from barrage_mlflow.tracking.store import Store
from barrage_mlflow.workspace import layout as artifacts
from barrage_mlflow.workspace.record import RunRecord

NOTE_TAG = "mlflow.note.content"
"""The description of a run, as MLflow's page shows it."""
CARD_TAG = "barrage.card"
"""The digest of a description that is a card, and so may be replaced by a later one."""


def describe(store: Store, record: RunRecord, card: str) -> None:
    """Make a card the description of a training's run, and of its version in the registry.

    Args:
        store: where the run is.
        record: of a training whose model is logged.
        card: in Markdown, with ``MODEL_URI`` for the model's.

    Raises:
        TrackingError: MLflow cannot be reached.
    """
    act, client, run_id = "describe the model", store.client, str(record.run_id)
    if record.version_uri:
        name, number = record.version_uri.removeprefix("models:/").rsplit("/", 1)
        version = store.call(act, client.get_model_version, name, number)
        text = _filled(card, record.version_uri)
        if _is_to_change(text, version.description, version.tags):
            store.call(act, client.update_model_version, name, number, text)
            digest = artifacts.digest_of(text)
            store.call(act, client.set_model_version_tag, name, number, CARD_TAG, digest)
    tags = store.read_run(run_id).data.tags
    text = _filled(card, record.version_uri or str(record.model_uri))
    if _is_to_change(text, tags.get(NOTE_TAG), tags):
        for tag, value in ((NOTE_TAG, text), (CARD_TAG, artifacts.digest_of(text))):
            store.call(act, client.set_tag, run_id, tag, value)


def _filled(card: str, uri: str) -> str:
    return shorten(card.replace(artifacts.MODEL_URI, uri), TAG_LIMIT, artifacts.CARD)


def _is_to_change(text: str, before: str | None, tags: Mapping[str, str]) -> bool:
    """Whether a description is missing, or an earlier card."""
    is_ours = not before or artifacts.digest_of(before) == tags.get(CARD_TAG)
    return is_ours and text != before
