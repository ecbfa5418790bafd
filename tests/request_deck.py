"""What bad requests are made of: a model, chance, and a deck of kinds."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

from serving_requests import JSON_FORMATS, Column, Model, Record, Request, write

SCORE, REFUSED, EITHER = "score", "refused", "either"


class Draw:
    """What a kind is given to make a request of: a model and chance."""

    def __init__(self, model: Model, chance: random.Random) -> None:
        self.model = model
        self.chance = chance

    def records(self, most: int = 5) -> list[Record]:
        """A few good records, to be changed at will."""
        count = self.chance.randint(1, most)
        return [copy.deepcopy(self.chance.choice(self.model.records)) for _ in range(count)]

    def many(self) -> list[Record]:
        """As many good records as the model is to score at once; they are not to be changed."""
        return self.chance.choices(self.model.records, k=self.model.many)

    def form(self, *forms: str) -> str:
        """One of some formats, JSON's if left out."""
        return self.chance.choice(forms or tuple(JSON_FORMATS))

    def column(self) -> Column:
        """A column of the model."""
        return self.chance.choice(self.model.columns)

    def number(self) -> Column:
        """A column of numbers."""
        return next(column for column in self.model.columns if column.type == "number")

    def request(
        self, kind: str, expect: str, form: str, records: list[Record], **more: Any
    ) -> Request:
        """A request in a format, from which nothing is expected that the format cannot give."""
        try:
            body, content_type = write(form, records)
        except Exception:
            form = "dataframe_records"  # Parquet holds no such values
            body, content_type = write(form, records)
        if form not in self.model.formats:
            expect = EITHER
            more |= {"columns": (), "row": None}
        if expect != SCORE:
            more.setdefault("may", _parsed_by_mlflow(form))
        more.setdefault("count", len(records))
        return Request(f"{kind} in {form}", expect, body, content_type, **more)


def _parsed_by_mlflow(form: str) -> tuple[str, ...]:
    return {"csv": ("unreadable CSV",), "parquet": ("unreadable Parquet",)}.get(form, ())


def at(column: Column, row: int | None = None) -> dict[str, Any]:
    """What a request tells of the column, and the record, at fault."""
    where = f"{'optional' if column.optional else 'required'} {column.type}"
    return {"columns": (column.name,), "row": row, "where": where}


Kind = Callable[[Draw], Request]
DECK: list[Kind] = []
"""The kinds, each as often as it comes in a round."""
RARE: list[Kind] = []
"""What takes seconds: one comes in a round."""
LARGE: list[Kind] = []
"""Bodies of 200 MB, which come at the end."""


def kind(times: int = 1, into: list[Kind] = DECK) -> Callable[[Kind], Kind]:
    """Enter a function as a kind, so many times in a round."""

    def enter(made: Kind) -> Kind:
        into.extend([made] * times)
        return made

    return enter
