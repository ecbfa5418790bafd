"""Versions of registered models and their aliases, and what the registry refuses."""

from __future__ import annotations

import re
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

from barrage_mlflow.errors import TrackingError
from barrage_mlflow.tracking.registry import (
    check_alias,
    check_registrable,
    find_holder,
    find_version,
    register_version,
    set_alias,
)


def logged_model() -> str:
    """The URI of a logged model, of which MLflow has no files."""
    with mlflow.start_run() as run:
        model = mlflow.initialize_logged_model("model", source_run_id=run.info.run_id)
    mlflow.finalize_logged_model(model.model_id, "READY")
    return model.model_uri


def test_a_version_has_its_run_metrics_and_alias() -> None:
    first, second = logged_model(), logged_model()
    assert register_version(first, "it's", None, {"loss": 0.1, "val_loss": 0.25}) == "1"
    assert register_version(second, "it's", None, {}) == "2"
    # A model is one version of a name, however often it is registered.
    assert register_version(first, "other", None, {}) == "1"
    assert register_version(first, "it's", "champion", {}) == "1"
    version = MlflowClient().get_model_version_by_alias("it's", "champion")
    model = mlflow.get_logged_model(first.removeprefix("models:/"))
    assert (int(version.version), version.run_id) == (1, model.source_run_id)
    assert version.tags == {"loss": "0.1", "val_loss": "0.25"}
    assert find_version("models:/it's@champion") == ("it's", "1")
    assert find_version("models:/it's/2") == ("it's", "2")
    set_alias("it's", "champion", "2")
    assert find_holder("it's", "champion") == "2"
    assert find_holder("it's", "challenger") is None


def test_names_that_the_registry_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that must not be looked at."""
    check_registrable("new")
    MlflowClient().create_registered_model("known")
    check_registrable("known")

    def refuse(*_: Any) -> None:
        raise MlflowException("Permission denied", error_code=PERMISSION_DENIED)

    monkeypatch.setattr(MlflowClient, "get_registered_model", refuse)
    check_registrable("new")


@pytest.mark.parametrize("alias", ["latest", "Latest", "v1", "a b", ""])
def test_aliases_that_mlflow_refuses_are_named(alias: str) -> None:
    message = (
        f"MLflow refuses the alias {alias!r}: expected letters, digits, _ and -, and not latest, "
        "v1, v2 …, which are reserved; take one such as champion"
    )
    with pytest.raises(TrackingError, match=f"^{re.escape(message)}$"):
        check_alias(alias)


@pytest.mark.parametrize("alias", ["v1-b", "größe"])
def test_mlflow_takes_every_other_alias(alias: str) -> None:
    check_alias(alias)
    register_version(logged_model(), "small", alias, {})
    assert find_holder("small", alias) == "1"


def test_versions_and_aliases_that_are_not_there_are_told() -> None:
    register_version(logged_model(), "small", None, {})
    none = "expected a version of a registered model, models:/NAME/VERSION or models:/NAME@ALIAS"
    for uri, message in (
        ("models:/m-1f0c", f"^models:/m-1f0c: {none}$"),
        ("models:/a/b", f"^models:/a/b: {none}$"),
        ("out", f"^out: {none}$"),
        ("models:/small/2", r"find models:/small/2: .*\(name=small, version=2\) not found$"),
        ("models:/other/1", r"find models:/other/1: .*\(name=other, version=1\) not found$"),
        ("models:/small@champion", r"find \S+: .* alias champion not found\.$"),
    ):
        with pytest.raises(TrackingError, match=message):
            find_version(uri)
    with pytest.raises(TrackingError, match=r"could not read the aliases of 'other': .* not found"):
        find_holder("other", "champion")
