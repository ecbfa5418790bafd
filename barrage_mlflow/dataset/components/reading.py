"""Which columns loading reads, found by watching it, and what is in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np

from barrage_mlflow.config.document import Document
from barrage_mlflow.config.findings import Finding, as_faults
from barrage_mlflow.config.schema import schema_at
from barrage_mlflow.config.shape import value_findings
from barrage_mlflow.dataset.components.build import build_loader
from barrage_mlflow.dataset.components.loader import RecordLoader
from barrage_mlflow.dataset.components.places import component_name, placed, set_record
from barrage_mlflow.dataset.records.column_kinds import Schema
from barrage_mlflow.dataset.records.records import Records
from barrage_mlflow.dataset.records.sources import no_such_column
from barrage_mlflow.dataset.records.windows import cell_kinds
from barrage_mlflow.dataset.types import Record, RecordMode
from barrage_mlflow.errors import ComponentError, ConfigError

SAMPLE = 256
"""Records among which it is learnt which columns loading reads."""
_COLUMNS = ("dataset", "columns")
_PARAMS = ("dataset", "loader", "params")
_A_DICT = Document({})
_WATCHED = 50
"""How many of them are loaded for that, at most."""


def _watched(name: str, demands: bool) -> Callable[..., Any]:
    """A method of dict that reads its key, or without one every key.

    It demands what it reads, unless it is given a default.
    """
    method = getattr(dict, name)

    @wraps(method)
    def read(self: WatchedRecord, *key_and_default: Any) -> Any:
        demanded = demands and len(key_and_default) < 2
        for key in key_and_default[:1] or dict.keys(self):
            self.demanded[key] = demanded or self.demanded.get(key, False)
        return method(self, *key_and_default)

    return read


class WatchedRecord(dict[str, Any]):
    """A record that keeps which of its keys are read, and which of them it must have for that.

    Args:
        record: the record.
        demanded: takes by key that was read, whether it was demanded, as ``record[key]`` does.

    Example:
        >>> record = WatchedRecord({"a": 1, "b": 2}, {})
        >>> _ = record["a"], record.get("b")
        >>> record.demanded
        {'a': True, 'b': False}
    """

    def __init__(self, record: Record, demanded: dict[Any, bool]) -> None:
        super().__init__(record)
        self.demanded = demanded

    __getitem__ = _watched("__getitem__", demands=True)
    __contains__ = _watched("__contains__", demands=False)
    get = _watched("get", demands=False)
    pop = _watched("pop", demands=True)
    setdefault = _watched("setdefault", demands=False)
    __iter__ = _watched("__iter__", demands=True)
    keys = _watched("keys", demands=True)
    values = _watched("values", demands=True)
    items = _watched("items", demands=True)
    copy = _watched("copy", demands=True)
    popitem = _watched("popitem", demands=True)
    __reversed__ = _watched("__reversed__", demands=True)


def columns_read(loader: RecordLoader, records: Records) -> dict[str, bool]:
    """The columns that loading reads, in the order of the records' columns.

    Found by watching ``load`` on records spread evenly over the set.

    Args:
        loader: the loader, in the mode that is asked about.
        records: what it loads.

    Returns:
        By name, whether the loader ever demands it, as ``record[name]`` does and
        ``record.get(name)`` does not.

    Example:
        >>> from barrage_mlflow.dataset import KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.SCORE, {"x": ["c", "a"]}, {"y": "b"})
        >>> columns_read(loader, Records.read([{"a": 1, "b": 2, "c": 3}]))
        {'a': True, 'c': True}
    """
    demanded: dict[str, bool] = {}
    count = min(_WATCHED, len(records))
    for position in np.linspace(0, len(records) - 1, count).astype(int).tolist():
        try:
            loader.load(WatchedRecord(records[position], demanded))
        except Exception as error:
            # One that cannot be brought to its kind is not in the record.
            records.need([name for name in records.columns if name in demanded])
            set_record(error, records, position, "load", component_name(loader))
            raise
    return {name: demanded[name] for name in records.columns if name in demanded}


def ask_kinds(
    config: Mapping[str, Any], sets: Mapping[str, Records], document: Document = _A_DICT
) -> Mapping[str, Records]:
    """Bring sets of records to the kinds that the config's loader asks for, beside those declared.

    Args:
        config: a resolved config.
        sets: by name, of which ``"train"`` is what the kinds of the other columns are learnt of.
        document: the config as it was given, for the places of faults and the folder from which
            roots are named.

    Raises:
        ConfigError: it names a column that is not there, or declares another kind of one.
        ImportPathError: the loader is not to be found.
        ComponentError: it does not take its params, or what it asks for is not written as in
            ``dataset.columns``.
        RecordError: a file that a cell names is missing.

    Example:
        >>> params = {"inputs": {"x": "a"}, "outputs": {"y": "b"}}
        >>> config = {"dataset": {"loader": {"import": "KeySelector", "params": params}}}
        >>> sets = {"train": Records.read([{"a": 1, "b": 0}])}
        >>> ask_kinds(config, sets) is sets  # it asks for none
        True
    """
    loader, dataset = build_loader(config, RecordMode.TRAIN), config["dataset"]
    name, train = component_name(loader), sets["train"]
    if missing := [
        Finding((*_PARAMS, *place), no_such_column(column, train.columns, train.owner))
        for column, place in loader.columns_needed().items()
        if column not in train.columns
    ]:
        raise ConfigError(as_faults(missing, document))
    folder = document.folders[0]
    with placed(train.owner, "column_kinds", name):
        asked = {key: kind for key, kind in loader.column_kinds().items() if key in train.columns}
        kinds = cell_kinds(train.schema, asked)
        if not kinds:
            return sets
        found = value_findings(kinds, schema_at(_COLUMNS), _COLUMNS)  # in no order
        if wrong := "; ".join(sorted(f"'{finding.path[2]}': {finding}" for finding in found)):
            raise ComponentError(f"{name}.column_kinds: {wrong}")
    columns = Schema.from_config({**dataset, "columns": kinds}, folder).columns
    declared = Schema.from_config(dataset, folder)
    if others := [
        Finding(
            (*_COLUMNS, key),
            f"expected '{columns[key].kind}', which {name} asks for, got '{column.kind}'",
            "leave it out",
        )
        for key, column in declared.columns.items()
        if key in columns and column.kind != columns[key].kind
    ]:
        raise ConfigError(as_faults(others, document))
    reason = f"asked for by {name}"
    columns = {key: replace(column, reason=reason) for key, column in columns.items()}
    schema = replace(declared, columns={**columns, **declared.columns})
    schema = Records.read(train, schema=schema).schema
    return {role: Records.read(records, schema=schema) for role, records in sets.items()}


def settle_columns(loader: RecordLoader, records: Records) -> tuple[Schema, list[str]]:
    """What is known of the columns, once it is known which of them scoring reads.

    Args:
        loader: in SCORE mode.
        records: train records.

    Returns:
        The schema, in which records may lack those columns that loading does without, and which
        names no folder of this machine; and the names of those that it reads.

    Example:
        >>> from barrage_mlflow.dataset import KeySelector, RecordMode
        >>> loader = KeySelector(RecordMode.SCORE, {"x": "a"}, {"y": "b"})
        >>> schema, reads = settle_columns(loader, Records.read([{"a": 1, "b": 0}]))
        >>> reads, schema.columns["a"].optional
        (['a'], False)
    """
    some = records[:SAMPLE]  # of a file, a record of the whole would have it read whole
    demanded = columns_read(loader, some)
    optional = [
        name
        for name, is_demanded in demanded.items()
        if not is_demanded
        and name in records.schema.columns
        and _loads_without(loader, some[0], name)
    ]
    windows = records.schema.windows
    # A record to score has nothing that comes after it.
    reads = [name for name in demanded if name in records.schema.columns]
    reads += [name for name in (windows.keys if windows else ()) if name not in reads]
    return records.schema.without_roots().with_optional(optional), reads


def _loads_without(loader: RecordLoader, record: Record, name: str) -> bool:
    try:
        loader.load({**record, name: None})
    except Exception:  # whatever it raises, it needs the value
        return False
    return True
