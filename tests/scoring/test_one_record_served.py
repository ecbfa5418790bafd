"""One record is one record for a server too: random records, sent to a real one.

The packaged network gives back what it is fed, so that its scores are the records.
"""

from __future__ import annotations

import datetime as dt
import json
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError

import pytest
from bad_requests import write
from dataset.test_one_record import Rows, frame, in_json, odd, of_kind, records_request, spelt_apart
from hypothesis import given, settings
from hypothesis import strategies as st
from outside import serving

from barrage_mlflow import Records, Scorer
from barrage_mlflow.dataset.feeding.conform import ArraySpec
from barrage_mlflow.errors import describe_error
from barrage_mlflow.scoring.package import package_model, save_model
from barrage_mlflow.scoring.scores import to_frame

LOADER = '''
import datetime as dt

from barrage_mlflow import RecordLoader

EPOCH = dt.datetime(1970, 1, 1)


class Spell(RecordLoader):
    """Spells the cells of a record in numbers, as no other record is spelt."""

    def load(self, record):
        number, numbers, time = record["number"], record["list"], record["time"]
        moment = None if time is None else dt.datetime.combine(EPOCH, time)
        whole = [record["whole"], -1 if record["truth"] is None else record["truth"]]
        whole += [-1 if record["date"] is None else record["date"].toordinal()]
        whole += map(self.microseconds, (record["datetime"], moment))
        span = record["duration"]
        whole += [-1 if span is None else span // dt.timedelta(microseconds=1)]
        whole += self.letters(record["text"]) + self.letters(record["bytes"])
        real = [number != number, 0.0 if number != number else number]
        real += [-1 if numbers is None else len(numbers), *(numbers or []), 0, 0][:3]
        return ({"whole": whole, "real": real},)

    def microseconds(self, moment):
        return -1 if moment is None else (moment - EPOCH) // dt.timedelta(microseconds=1)

    def letters(self, cell):
        spelt = [] if cell is None else [*map(ord, cell)] if isinstance(cell, str) else [*cell]
        return [-1 if cell is None else len(spelt), *spelt, *[0] * 24][:24]
'''
CONFIG = {
    "dataset": {
        "loader": {"import": "spell.Spell"},
        "transformer": {"import": "IdentityTransformer"},
    },
    "model": {"outputs": [{"name": "whole"}, {"name": "real"}]},
}
SPECS = {"whole": ArraySpec((54,), "int64"), "real": ArraySpec((5,), "float64")}
FULL: dict[str, Any] = {
    "whole": 1,
    "number": 0.5,
    "truth": True,
    "text": "x",
    "bytes": b"x",
    "datetime": dt.datetime(2000, 1, 1),
    "date": dt.date(2000, 1, 1),
    "time": dt.time(1),
    "duration": dt.timedelta(1),
    "list": [0.5, 1.5],
}
TRAIN = [FULL, {name: None if name not in ("whole", "text") else FULL[name] for name in FULL}]
"""A value may be missing in each column, but for two."""
MOSTLY_GOOD = {name: st.one_of(*[of_kind[name]] * 6, odd) for name in FULL}
ROWS = st.lists(st.fixed_dictionaries(MOSTLY_GOOD), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Scorer, str]]:
    """The model in this process, and the address at which it is served."""
    import keras

    home = tmp_path_factory.mktemp("served")
    (home / "spell.py").write_text(LOADER, "utf-8")
    x = {name: keras.Input(spec.shape, name=name, dtype=spec.dtype) for name, spec in SPECS.items()}
    same = {name: keras.layers.Identity(dtype=x[name].dtype)(x[name]) for name in x}
    network = keras.Model(x, same)
    folder = home / "model"
    (folder / "data" / "transformer").mkdir(parents=True)
    schema = Records.read(TRAIN).schema
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(home)
        save_model(folder / "data", CONFIG, network, SPECS, schema, [*FULL])
        scorer, example = Scorer.load(folder), Records.read(TRAIN, schema=schema)
        package_model(folder, example, to_frame(scorer.score(example)), [], [home / "spell.py"])
    with serving(folder, home) as address:
        yield scorer, address


def ask(address: str, form: str, rows: Rows) -> Any:
    """The scores that the server gives, or the message with which it refuses."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/invocations", write(form, in_json(rows)), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)["predictions"]
    except HTTPError as error:
        # Before the model's own message MLflow shows the data.
        return json.load(error)["message"].rpartition("\nError: ")[2]


def score(scorer: Scorer, rows: Any) -> Any:
    """The same of the model alone."""
    try:
        records = Records.read(rows, "input", schema=scorer.inputs)
        return to_frame(scorer.score(records)).to_dict("records")
    except Exception as error:
        return describe_error(error)


def is_handed_on(row: dict[str, Any]) -> bool:
    """Whether MLflow hands on each cell as it is: it casts columns that the signature types."""
    number, text, cells = row["number"], row["text"], row["list"]
    is_exact = type(number) is float or (type(number) is int and abs(number) <= 2**53)
    return (
        (number is None or is_exact)
        and (text is None or isinstance(text, str))
        and (cells is None or isinstance(cells, list))
    )


@pytest.mark.nightly(part="one-record")
@settings(max_examples=150, derandomize=True)
@given(rows=ROWS)
def test_a_server_is_fed_the_same_and_refuses_the_same(
    model: tuple[Scorer, str], rows: Rows
) -> None:
    scorer, address = model
    for some in (*([row] for row in rows), rows):
        own = score(scorer, in_json(some))
        for form in ("dataframe_split", "dataframe_records"):
            assert ask(address, form, some) == own or not all(map(is_handed_on, some))
        if isinstance(own, list) and spelt_apart(some, scorer.schema, records_request):
            assert score(scorer, frame(some)) == own
