"""Versions of registered models."""

from __future__ import annotations

from collections.abc import Mapping

from barrage_mlflow.tracking.names import legal_tags


def register_version(
    model_uri: str, name: str, alias: str | None, metrics: Mapping[str, float]
) -> str:
    """Make a version of a registered model, unless there is one of this model already.

    Args:
        model_uri: a logged model, ``"models:/m-…"``.
        name: the registered model; made if it is not there.
        alias: name that leads to the version from now on.
        metrics: become tags of the version, beside the metrics of the logged model.

    Returns:
        The version, ``"3"``.

    Raises:
        mlflow.exceptions.MlflowException: MLflow cannot be reached, or refuses it.

    Example:
        >>> register_version("models:/m-1f0c", "penguins", "champion", {})  # doctest: +SKIP
        '1'
    """
    import mlflow
    from mlflow import MlflowClient

    client = MlflowClient()
    quote = '"' if "'" in name else "'"
    versions = client.search_model_versions(f"name = {quote}{name}{quote}")
    known = [version for version in versions if f"models:/{version.model_id}" == model_uri]
    if known:
        number = str(known[0].version)
    else:
        tags = legal_tags({key: repr(float(value)) for key, value in metrics.items()})
        number = str(mlflow.register_model(model_uri, name, tags=tags).version)
    if alias is not None:
        client.set_registered_model_alias(name, alias, number)
    return number
