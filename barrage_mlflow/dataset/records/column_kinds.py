"""What is known of columns: the kind of each, learnt once from the train records, or declared.

From then on every record, however it comes, is brought to these kinds cell by cell, so that what a
component gets of a record depends on that record alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

from barrage_mlflow.config.names import show_names
from barrage_mlflow.errors import RecordError

WORDS = frozenset(["NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NaN", "nan", "-NaN", "-nan"])
WORDS |= {"null", "NULL", "None"}
"""Words that mean a missing value, but in a column of text."""


class Kind(NamedTuple):
    """What a kind is called in messages, and the dtype of a column of it."""

    meaning: str
    plural: str
    dtype: str


KINDS = {
    "whole": Kind("a whole number", "whole numbers", "int64"),
    "number": Kind("a number", "numbers", "float64"),
    "truth": Kind("true or false", "truth values", "bool"),
    "text": Kind("a string", "strings", "object"),
    "bytes": Kind("bytes, in JSON and CSV as base64", "bytes", "object"),
    "datetime": Kind(
        "a date and time, in letters as ISO 8601", "dates with times", "datetime64[us]"
    ),
    "date": Kind("a date, in letters as ISO 8601", "dates", "datetime64[us]"),
    "time": Kind("a time of day, in letters as ISO 8601", "times of day", "object"),
    "duration": Kind("a duration, in letters as ISO 8601", "durations", "timedelta64[us]"),
    "list": Kind("a list", "lists", "object"),
    "object": Kind("an object", "objects", "object"),
}
"""By the name that a config and ``check`` give it."""

_NUMERIC = ("whole", "number", "truth")


@dataclass(frozen=True)
class Column:
    """What is known of one column.

    Attributes:
        name: the record key.
        kind: a key of ``KINDS``; ``"mixed"`` where records hold values of several.
        optional: whether a record may lack a value.
        of: the kind of what stands in lists.
        shape: of each list, where all have one.
        arrays: whether lists are NumPy arrays.
        format: of dates and times in letters, as in ``strptime``; left out, ISO 8601.
        zone: where times without a zone were taken, ``"Europe/Berlin"``; left out, UTC.
        separator: between the items of a list in letters; left out, it is JSON.
        root: the folder under which strings are paths of files, whose bytes they stand for.
        missing: further words that mean a missing value.
        declared: whether a config or a component asks for the kind.
        reason: what the records hold, for people.
        only_whole: whether all numbers of a column of numbers are whole.
        word: one in a column of text that means a missing value in others, such as ``NA``.

    Example:
        >>> Column("age", "whole").dtype, Column("age", "whole", optional=True).dtype
        ('int64', 'object')
    """

    name: str
    kind: str
    optional: bool = False
    of: str = ""
    shape: tuple[int, ...] | None = None
    arrays: bool = False
    format: str = ""
    zone: str = ""
    separator: str = ""
    root: str = ""
    missing: tuple[str, ...] = ()
    declared: bool = False
    reason: str = ""
    only_whole: bool = False
    word: str = ""

    @property
    def dtype(self) -> str:
        """The dtype of the column as an array, such as ``"int64"`` or ``"object"``."""
        if self.kind == "mixed" or (self.optional and self.kind in ("whole", "truth")):
            return "object"
        if self.kind == "list" and self.shape is not None:
            return KINDS[self.of].dtype
        return KINDS[self.kind].dtype

    @property
    def is_spelt(self) -> bool:
        """Whether its cells in a CSV file are taken as they are spelt, not as numbers."""
        return self.kind not in _NUMERIC

    def to_json(self) -> dict[str, Any]:
        """Everything that is not as it is by default."""
        return {
            one.name: value
            for one in fields(self)
            if (value := getattr(self, one.name)) != one.default
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Column:
        """A column that :meth:`to_json` has written.

        Example:
            >>> Column.from_json(Column("t", "list", of="number", shape=(2,)).to_json()).shape
            (2,)
        """
        if "type" in saved:  # as models have it that were packaged before there were kinds
            return cls(saved["name"], _OLD[saved["type"]], not saved["required"])
        shape = saved.get("shape")
        missing = tuple(saved.get("missing", ()))
        return cls(**{**saved, "shape": shape and tuple(shape), "missing": missing})


_OLD = {
    "integer": "whole",
    "double": "number",
    "boolean": "truth",
    "string": "text",
    "binary": "bytes",
    "other": "object",
}


@dataclass(frozen=True)
class Windows:
    """How records are made of the rows of a long table.

    Attributes:
        time: the column by which rows follow each other.
        history: rows that a record tells of.
        horizon: rows after them that are to be predicted; 0 to score: of each group one record,
            its last rows.
        group: the columns that tell series apart; none where all rows are one series.
        step: rows from one record to the next.
    """

    time: str
    history: int
    horizon: int = 0
    group: tuple[str, ...] = ()
    step: int = 1

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Windows:
        """Windows as a config or :meth:`Schema.to_json` has them.

        Example:
            >>> Windows.from_json({"time": "date", "group": "shop", "history": 28}).keys
            ('shop', 'date')
        """
        group = given.get("group", ())
        return cls(**{**given, "group": (group,) if isinstance(group, str) else tuple(group)})

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that tell rows apart."""
        return *self.group, self.time


@dataclass(frozen=True)
class Schema:
    """What is known of the columns of records before these are read.

    Attributes:
        columns: by name.
        is_complete: whether records are read as these columns and no others; else the kinds of
            those that are not there are learnt.
        missing: words that mean a missing value in every column.
        csv: how a CSV file is written, where not with commas, points and in UTF-8: ``sep``,
            ``decimal``, ``encoding``.
        windows: how records are made of rows; None where rows are records.

    Example:
        >>> schema = Schema.from_config({"columns": {"postcode": "text"}})
        >>> schema.columns["postcode"].kind, schema.is_complete
        ('text', False)
    """

    columns: Mapping[str, Column] = field(default_factory=dict)
    is_complete: bool = False
    missing: tuple[str, ...] = ()
    csv: Mapping[str, str] = field(default_factory=dict)
    windows: Windows | None = None

    @classmethod
    def from_config(cls, dataset: Mapping[str, Any], folder: str = "") -> Schema:
        """What the ``dataset`` section of a config without faults declares.

        Args:
            dataset: the section.
            folder: of the config, from which roots are named; where one works if left out.
        """
        missing = tuple(dataset.get("missing_values", ()))
        declared = {}
        for name, given in dataset.get("columns", {}).items():
            options = {"kind": given} if isinstance(given, str) else dict(given)
            words = (*missing, *options.pop("missing", ()))
            if "root" in options:
                options["root"] = str(Path(folder, options["root"]).resolve())
            of = "text" if options["kind"] == "list" else ""
            column = Column(name, **{"of": of, **options}, missing=words, declared=True)
            declared[name] = replace(column, reason="declared")
        windows = Windows.from_json(dataset["windows"]) if "windows" in dataset else None
        return cls(declared, False, missing, dataset.get("csv", {}), windows)

    def to_score(self, names: Iterable[str]) -> Schema:
        """The same of some columns; of windows, with nothing after them."""
        windows = self.windows and replace(self.windows, horizon=0)
        return replace(self, columns={n: self.columns[n] for n in names}, windows=windows)

    def with_optional(self, names: Iterable[str]) -> Schema:
        """The same, in which records may lack some more columns."""
        columns = {name: replace(self.columns[name], optional=True) for name in names}
        return replace(self, columns={**self.columns, **columns})

    def with_roots(self, roots: Iterable[str]) -> Schema:
        """The same, in which strings in columns of bytes are paths of files.

        Args:
            roots: each ``"COLUMN=FOLDER"``, or ``"FOLDER"`` for all columns of bytes.

        Raises:
            RecordError: there is no such column of bytes.

        Example:
            >>> schema = Schema({"photo": Column("photo", "bytes"), "a": Column("a", "whole")})
            >>> schema.with_roots(["photo=/data"]).columns["photo"].root
            '/data'
            >>> schema.with_roots(["a=/data"])
            Traceback (most recent call last):
            barrage_mlflow...RecordError: root 'a=/data': expected a column of bytes; of th...
        """
        columns = dict(self.columns)
        known = [name for name, column in columns.items() if column.kind == "bytes"]
        for root in roots:
            *named, folder = root.split("=", 1)
            chosen = named or known
            if not chosen or not set(chosen) <= set(known):
                read = f"of these the model reads {show_names(known)}"
                raise RecordError(f"root {root!r}: expected a column of bytes; {read}")
            for one in chosen:
                columns[one] = replace(columns[one], root=str(Path(folder).resolve()))
        return replace(self, columns=columns)

    def without_roots(self) -> Schema:
        """The same, in which strings in columns of bytes are base64."""
        bare = {name: replace(column, root="") for name, column in self.columns.items()}
        return replace(self, columns=bare)

    def to_json(self) -> dict[str, Any]:
        """As JSON, all that is known."""
        columns = [column.to_json() for column in self.columns.values()]
        return {**asdict(replace(self, columns={})), "columns": columns}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Schema:
        """A schema that :meth:`to_json` has written.

        Example:
            >>> schema = Schema({"a": Column("a", "whole")}, is_complete=True)
            >>> Schema.from_json(schema.to_json()) == schema
            True
        """
        columns = map(Column.from_json, saved["columns"])
        named = {column.name: column for column in columns}
        windows = saved.get("windows") and Windows.from_json(saved["windows"])
        return cls(
            **{**saved, "columns": named, "missing": tuple(saved["missing"]), "windows": windows}
        )
