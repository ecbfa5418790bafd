"""MLflow's registry: versions of registered models, and the aliases that lead to them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from barrage_mlflow.errors import TrackingError
from barrage_mlflow.tracking.limits import legal_tags
from barrage_mlflow.tracking.store import Store

_URI = re.compile(r"models:/([^/@]+)(?:/(\d+)|@([^/@]+))")


def check_registrable(name: str) -> None:
    """Check that MLflow's registry takes a model of this name, known or new.

    Who may not look at a model that is not there may yet make one.

    Raises:
        TrackingError: it does not answer, or refuses the name.

    Example:
        >>> check_registrable("penguins")  # doctest: +SKIP
    """
    store = Store()
    try:
        store.call(f"register a model {name!r}", store.client.get_registered_model, name)
    except TrackingError as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED"):
            raise


def check_alias(alias: str) -> None:
    """Check that MLflow takes an alias of this name, without asking its store.

    Raises:
        TrackingError: it does not.

    Example:
        >>> check_alias("champion")
        >>> check_alias("v1")
        Traceback (most recent call last):
        barrage_mlflow.errors.TrackingError: MLflow refuses the alias 'v1': expected letters,
        digits, _ and -, and not latest, v1, v2 …, which are reserved; take one such as champion
    """
    if not re.fullmatch(r"(?!(latest|v\d+)$)[\w-]+", alias, re.IGNORECASE):
        raise TrackingError(
            f"MLflow refuses the alias {alias!r}: expected letters, digits, _ and -, and not "
            "latest, v1, v2 …, which are reserved; take one such as champion"
        )


def register_version(
    model_uri: str, name: str, alias: str | None, metrics: Mapping[str, float]
) -> str:
    """Make a version of a registered model, unless there is one of this model already.

    Args:
        model_uri: a logged model, ``"models:/m-…"``.
        name: the registered model; made if it is not there.
        alias: name that leads to the version from now on.
        metrics: the model's figures; they become tags of the version.

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
    # Only Databricks' registry finds the logged model by its id, every one by its source.
    versions = client.search_model_versions(f"source_path = '{model_uri}'")
    known = [version for version in versions if version.name == name]
    if known:
        number = str(known[0].version)
    else:
        tags = legal_tags({key: repr(float(value)) for key, value in metrics.items()})
        number = str(mlflow.register_model(model_uri, name, tags=tags).version)
    if alias is not None:
        client.set_registered_model_alias(name, alias, number)
    return number


def find_version(model_uri: str) -> tuple[str, str]:
    """Find the version of a registered model that a URI leads to.

    Args:
        model_uri: ``"models:/NAME/VERSION"`` or ``"models:/NAME@ALIAS"``.

    Returns:
        The registered model and the version: ``("penguins", "3")``.

    Raises:
        TrackingError: the URI is none of these, there is no such version, or MLflow cannot be
            reached.

    Example:
        >>> find_version("models:/penguins@champion")  # doctest: +SKIP
        ('penguins', '3')
        >>> find_version("artifacts/penguins")
        Traceback (most recent call last):
        barrage_mlflow.errors.TrackingError: artifacts/penguins: expected a version of a registered
        model, models:/NAME/VERSION or models:/NAME@ALIAS
    """
    parts = _URI.fullmatch(model_uri)
    if parts is None:
        raise TrackingError(
            f"{model_uri}: expected a version of a registered model, models:/NAME/VERSION or "
            "models:/NAME@ALIAS"
        )
    name, number, alias = parts.groups()

    store, act = Store(), f"find {model_uri}"
    if number is None:
        found = store.call(act, store.client.get_model_version_by_alias, name, alias)
    else:
        found = store.call(act, store.client.get_model_version, name, number)
    return name, str(found.version)


def find_holder(name: str, alias: str) -> str | None:
    """Find the version that an alias of a registered model leads to; None if there is none.

    Raises:
        TrackingError: there is no such registered model, or MLflow cannot be reached.

    Example:
        >>> find_holder("penguins", "champion")  # doctest: +SKIP
        '3'
    """
    store, act = Store(), f"read the aliases of {name!r}"
    model = store.call(act, store.client.get_registered_model, name)
    return str(model.aliases[alias]) if alias in model.aliases else None


def set_alias(name: str, alias: str, version: str) -> None:
    """Have an alias lead to a version, wherever it led before.

    Raises:
        TrackingError: MLflow cannot be reached, or refuses it.

    Example:
        >>> set_alias("penguins", "champion", "3")  # doctest: +SKIP
    """
    store, act = Store(), f"move the alias {alias!r} of {name!r}"
    store.call(act, store.client.set_registered_model_alias, name, alias, version)
