"""Reports: a planted fault is seen in them, and no set is too odd for one."""

import io
import math
import re
import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from answers import outcome_of
from PIL import Image

from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.records.column_kinds import Schema
from barrage_mlflow.evaluation import class_reports, number_reports, record_reports
from barrage_mlflow.evaluation import kept as kept_module
from barrage_mlflow.evaluation.evaluate import Evaluation, Options
from barrage_mlflow.evaluation.figures import figures_of
from barrage_mlflow.evaluation.importance import importance_table, permute
from barrage_mlflow.evaluation.kept import SAMPLE, Kept, badness_of
from barrage_mlflow.evaluation.observe import About, Observed
from barrage_mlflow.evaluation.pages import Pages, as_markdown
from barrage_mlflow.evaluation.set_report import write_report

SCORER = SimpleNamespace(score_params={"threshold": 0.5})
PLAIN = Options(importance=False)
NAMES = ("cat", "dog", "cow")


def spread(codes, classes, sure=0.9):
    """Probabilities of classes, most of it of the codes."""
    made = np.full((len(codes), classes), (1 - sure) / max(1, classes - 1), np.float32)
    made[np.arange(len(codes)), codes] = sure
    return made


def kept_of(outcome, frame=None):
    frame = pd.DataFrame({"x": np.arange(len(outcome))}) if frame is None else frame
    records = Records.read(frame)
    kept = Kept(records.columns, 3)
    kept.add(records, {"a": outcome})
    return kept


def written(outcome, folder, options=PLAIN, until=math.inf, without=0, **more):
    """The report on an outcome, and on so many records without a target."""
    kept = kept_of(outcome)
    evaluation = Evaluation({"a": outcome}, kept, len(outcome) + without, 0.5)
    write_report(SCORER, evaluation, folder, "How good", options, until, **more)
    return (folder / "report.md").read_text("utf-8")


def words(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_a_swapped_pair_of_labels_is_seen_in_the_confusion():
    truth = np.repeat([0, 1, 2], 10)
    swapped = np.array([0, 2, 1])[truth]
    outcome = outcome_of("category", truth, swapped, labels=NAMES, probability=spread(swapped, 3))
    figure = class_reports.confusion(outcome, kept_of(outcome))

    right = "10\n100%"
    assert words(figure) == [right, "0", "0", "0", "0", right, "0", right, "0"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [*NAMES]
    table = class_reports.per_class(outcome, kept_of(outcome))
    assert table.to_dict("list") == {
        "class": [*NAMES],
        "precision": [1, 0, 0],
        "recall": [1, 0, 0],
        "f1": [1, 0, 0],
        "support": [10, 10, 10],
    }


def test_a_unit_error_is_seen_in_the_numbers():
    truth = np.linspace(1, 10, 50)
    outcome = outcome_of("number", truth, np.where(truth > 9, truth / 1000, truth + 0.1))
    figure = number_reports.predicted(outcome, kept_of(outcome))

    dots = figure.axes[0].collections[0].get_offsets()
    assert (dots[:, 1] < 0.1).sum() == (truth > 9).sum() == 6
    table = record_reports.worst(outcome, kept_of(outcome))
    assert table["record"].tolist() == [49, 48, 47]
    assert table["answer"].tolist() == ["0.01", "0.009816", "0.009633"]
    found = figures_of(outcome)
    assert found["p50"].value == pytest.approx(0.1)
    assert found["p99"].value > 9
    assert found["bias"].value < -1


def test_the_worst_of_classes_are_those_predicted_with_confidence():
    truth, answer = np.array([0, 1, 0, 1]), np.array([0, 0, 1, 0])
    probability = np.array([0.1, 0.4, 0.6, 0.01], np.float32)
    outcome = outcome_of("truth", truth, answer, probability=probability, labels=[False, True])
    frame = pd.DataFrame({"true": [10, 11, 12, 13], "x": ["a|b", None, "c", "d"]})
    assert as_markdown(record_reports.worst(outcome, kept_of(outcome, frame))) == [
        "| record | true | answer | probability of the answer | true (column) | x |",
        "|--:|---|---|--:|--:|---|",
        "| 3 | True | False | 0.99 | 13 | d |",
        "| 1 | True | False | 0.6 | 11 | – |",
        "| 2 | False | True | 0.6 | 12 | c |",
    ]


def test_long_cells_are_cut():
    frame = pd.DataFrame({"t": ["a" * 5000], "l": [[1.5] * 5000], "b": [b"12"], "x": [1]})
    outcome = outcome_of("number", [0.0], [1.0])
    (row,) = record_reports.worst(outcome, kept_of(outcome, frame)).to_dict("records")
    assert row["t"] == "a" * 999 + "…"
    assert row["l"] == str([1.5] * 5000)[:999] + "…"
    assert (row["b"], row["x"]) == ("2 bytes", 1)


def test_groups_tell_where_a_model_is_bad():
    truth = np.zeros(40)
    place = np.array(["north", "south", None, "south"] * 10, object)
    outcome = outcome_of("number", truth, np.where(place == "south", 5.0, 0.0))
    frame = pd.DataFrame({"place": place, "id": [f"n{n}" for n in range(40)], "same": True})
    found = record_reports.groups(outcome, kept_of(outcome, frame))
    assert found.to_numpy().tolist() == [
        ["place", "missing", 10, 0.0, 0.0],
        ["place", "north", 10, 0.0, 0.0],
        ["place", "south", 20, 5.0, 5.0],
    ]
    assert [*found.columns] == ["column", "value", "records", "mae", "bias"]


def test_a_threshold_is_recommended_and_not_set():
    truth = np.array([0] * 6 + [1] * 4)
    probability = np.array([0.1] * 5 + [0.45] + [0.3] * 3 + [0.9], np.float32)
    answer = (probability >= 0.5).astype(int)
    outcome = outcome_of("truth", truth, answer, probability=probability)
    said = class_reports.recommended_threshold(outcome, kept_of(outcome))
    assert said == (
        "With the threshold 0.15, F1 on these records is 0.8889 instead of 0.4; on other records "
        'it may gain less. Nothing is set: ask for it with `params: {"threshold": 0.15}` in a '
        "request, or with `barrage-mlflow predict … --param threshold=0.15`."
    )
    table = class_reports.thresholds(outcome, kept_of(outcome))
    assert len(table) == 19
    assert table.iloc[9].to_dict() == pytest.approx(
        {"threshold": 0.5, "precision": 1.0, "recall": 0.25, "f1": 0.4, "predicted": 1.0}
    )
    best = replace(outcome, answer=(probability >= 0.15).astype(int))
    assert class_reports.recommended_threshold(best, kept_of(best)) is None


def test_of_thousands_of_classes_the_most_confused_are_shown():
    truth = np.arange(100_000) % 50_000
    answer = np.where(truth < 100, (truth + 1) % 100, truth)
    answer[:30] = 60_000
    outcome = outcome_of("category", truth, answer, labels=[f"c{n}" for n in range(50_000)])
    figure = class_reports.confusion(outcome, kept_of(outcome))
    shares = figure.axes[0].images[0].get_array()
    assert len(figure.axes) == 1
    assert shares.shape == (60, 60)
    assert shares[:, -1].sum() > 0  # the class that has no name


def test_a_class_that_the_network_does_not_have_is_the_worst():
    answer = np.array([1, 5, 1])
    outcome = outcome_of("category", [0, 1, 1], answer, probability=spread([1, 1, 1], 2))
    assert badness_of(outcome) == pytest.approx([0.9, 1, 0])
    table = record_reports.worst(outcome, kept_of(outcome))
    assert table["record"].tolist() == [1, 0]
    assert table["probability of the answer"].tolist() == pytest.approx(
        [math.nan, 0.9], nan_ok=True
    )


def test_importance_looks_at_the_clock_and_at_few_records_at_once(monkeypatch):
    rows = [{"x": float(n), "z": 1.0, "y": float(n)} for n in range(100)]
    passes, clock = [], iter(range(100))

    class Stub:
        """Answers with ``x``."""

        inputs = Schema.from_config({"columns": {"x": "number", "z": "number"}})
        read = staticmethod(Records.read)

        def pieces(self, records):
            yield from records.pieces(30)

        def observe(self, records):
            passes.append(len(records))
            about = {"y": About("number", "mse", False, [])}
            x, y = ({"y": records[name]} for name in "xy")
            return Observed(x, y, x, y, {}, {}, {}, about)

    stub = Stub()
    worse, left, count = permute(stub, stub, rows, math.inf)
    assert (left, count) == ([], 100)
    assert worse["y"]["x"] == pytest.approx(40, rel=0.2)
    assert worse["y"]["z"] == 0
    assert passes == [30, 30, 30, 10] * 7
    table = importance_table(worse["y"])
    assert [*table] == ["column", "worse by"]
    assert [*table["column"]] == ["x", "z"]

    assert permute(stub, stub, rows, 0.0) == ({}, ["x", "z"], 0)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    found = {"y": {"x": pytest.approx(40, rel=0.2)}}
    assert permute(stub, stub, rows, 5) == (found, ["z"], 100)
    # One pass of six took a second, and so there is time for every second record.
    clock, rows = iter(range(100)), rows * 10
    worse, left, count = permute(stub, stub, rows, 5)
    assert (worse, left, count) == (found, ["z"], 500)


CODES = np.arange(60) % 3
LABELS = np.eye(3, dtype=bool)[CODES]
ODD = {
    "a class with no record": outcome_of(
        "category", [0, 1, 0], [0, 0, 1], labels=NAMES, probability=spread([0, 0, 1], 3)
    ),
    "one class only": outcome_of("category", [1, 1], [1, 0], probability=spread([1, 0], 3)),
    "only true": outcome_of(
        "truth", [1, 1], [1, 0], probability=np.array([0.9, 0.2]), labels=[False, True]
    ),
    "no probabilities": outcome_of("truth", [1, 0], [1, 1], labels=["no", "yes"]),
    "1,000 classes": outcome_of(
        "category", np.arange(2000) % 1000, np.zeros(2000, int),
        probability=spread(np.zeros(2000, int), 1000),
    ),
    "labels": outcome_of("multi_category", LABELS, LABELS, probability=spread(CODES, 3)),
    "labels of none": outcome_of("multi_category", LABELS & False, LABELS & False),
    "a constant target": outcome_of("number", np.ones(9), np.arange(9.0)),
    "all right": outcome_of("number", np.ones(9), np.ones(9)),
    "one record": outcome_of("number", [3.5], [1.0]),
    "one series": outcome_of("series", [[1.0, 2.0]], [[1.0, 3.0]]),
    "a past with gaps": outcome_of(
        "series", np.ones((3, 2)), np.zeros((3, 2)), past=np.array([[np.nan, 1, 2, 1]] * 3)
    ),
    "a series with gaps": outcome_of("series", [[1, np.nan], [np.nan, 2]], np.zeros((2, 2))),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_no_outcome_is_too_odd(name, tmp_path, caplog):
    text = written(ODD[name], tmp_path)
    assert caplog.messages == []
    assert "failed" not in text
    shown = re.findall(r"\]\((.*?)\)", text)
    assert bool(shown) == (name != "labels of none")
    assert all((tmp_path / path).read_bytes()[1:4] == b"PNG" for path in shown)
    assert "nan" not in text
    tables = {path.name for path in tmp_path.rglob("*.json")}
    assert "metrics.json" in tables


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        (outcome_of("number", [], []), "No record has a target."),
        (outcome_of("", np.ones((2, 4, 4)), np.ones((2, 4, 4))), "No metric is defined for an"),
        (
            replace(outcome_of("number", [1.0], [1.0]), in_own_units=False),
            "In the units of the network: the transformer's `targets` gives nothing under a key of",
        ),
    ],
)
def test_what_cannot_be_judged_is_said(outcome, sentence, tmp_path):
    assert sentence in written(outcome, tmp_path)


def lift(outcome, kept, share=0.1):
    return f"lift of {share}"


def broken(outcome, kept):
    raise ValueError("no such luck")


def test_own_reports_and_a_broken_one(tmp_path, caplog):
    options = replace(PLAIN, reports=(partial(lift, share=0.2), broken))
    text = written(ODD["a constant target"], tmp_path, options)
    assert "### Lift\n\nlift of 0.2\n" in text
    assert "### Broken\n\nIt failed: ValueError: no such luck\n" in text
    assert caplog.messages == ["report a/broken: ValueError: no such luck"]


def test_what_there_is_no_time_for_is_said(tmp_path):
    text = written(ODD["a constant target"], tmp_path, until=0.0)
    assert "Left out for lack of time: a: predicted; a: images;" in text
    assert "| mae | 3.222 |" in text
    assert not [*tmp_path.rglob("*.png")]


def test_sections_and_facts(tmp_path):
    table = pd.DataFrame({"column": ["a b"], "shift": [0.25]})
    text = written(
        ODD["all right"], tmp_path, without=3, sections={"The data": table}, facts=["A fact."]
    )
    _, records, targets, fact, *_ = text.split("\n\n")
    assert (records, targets) == ("12 records, scored in 0.5 s.", "9 of them have a target a.")
    assert fact == "A fact."
    assert "## The data\n\n| column | shift |\n|---|--:|\n| a b | 0.25 |\n" in text
    assert (tmp_path / "data/the_data.json").read_text("utf-8") == (
        '{"columns": ["column", "shift"], "data": [["a b", 0.25]]}'
    )


def test_a_long_table_is_cut_in_the_page_and_whole_in_its_file(tmp_path):
    pages = Pages(tmp_path)
    for _ in range(2):  # the second one does not take the place of the first
        pages.add("Long", "a b/long", pd.DataFrame({"n": range(100)}))
    pages.write()
    assert pages.files == ["report.md", "a b/long.json", "a b/long_2.json"]
    text = (tmp_path / "report.md").read_text("utf-8")
    assert text.endswith("| 39 |\n\n… and 60 more.\n")
    assert (tmp_path / "a b/long.json").read_text("utf-8").endswith("[98], [99]]}")


def test_what_is_kept_does_not_grow_and_is_drawn_evenly():
    kept, size = Kept(["x"], 5), 700
    for piece in range(20):
        rows = np.arange(size) + piece * size
        records = Records.read(pd.DataFrame({"x": rows}))
        outcome = replace(
            outcome_of("number", np.zeros(size), (rows * 7919 % 14000).astype(float)), rows=rows
        )
        kept.add(records, {"a": outcome})
    assert len(kept.sample) == SAMPLE
    assert np.mean(kept.sample) == pytest.approx(7000, rel=0.1)
    assert {*kept.cells} == {*kept.sample, *kept.worst["a"]}
    assert all(kept.cells[row] == {"x": row} for row in kept.cells)
    errors = [row * 7919 % 14000 for row in kept.worst["a"]]
    assert errors == [13999, 13998, 13997, 13996, 13995]


def test_what_is_kept_of_large_cells_is_bounded(monkeypatch):
    monkeypatch.setattr(kept_module, "_BYTES", 10_000)
    kept = Kept(["image"], 20)
    for piece in range(3):
        rows = np.arange(100) + piece * 100
        records = Records.read([{"image": bytes([n % 256]) * 1000} for n in rows])
        outcome = replace(outcome_of("number", np.zeros(100), rows.astype(float)), rows=rows)
        kept.add(records, {"a": outcome})
    assert len(kept.sample) == 10
    assert kept.worst["a"] == [*range(299, 279, -1)]
    assert {*kept.cells} == {*kept.sample, *kept.worst["a"]}
    whole = {row for row, cells in kept.cells.items() if isinstance(cells["image"], bytes)}
    assert whole == {*kept.sample, *kept.worst["a"][:8]}
    assert kept.cells[280]["image"] in ("1000 bytes", bytes([24]) * 1000)


def test_no_record_is_shown_where_none_is_wanted():
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "png")
    records = Records.read([{"image": buffer.getvalue()}] * 3)
    outcome = outcome_of("number", [0.0, 1, 2], [1.0, 1, 1])
    for worst, images in ((3, 3), (0, 0)):
        kept = Kept(["image"], worst)
        kept.add(records, {"a": outcome})
        figure = record_reports.images(outcome, kept)
        assert (len(figure.axes) if figure else 0) == images
    assert kept.worst == {"a": []}
    assert record_reports.worst(outcome, kept) is None
    assert kept.sample == [0, 1, 2]


def test_groups_are_of_a_sample_and_of_few_values():
    pieces = [
        {"a": ["x", "y"] * 50, "b": ["x"] * 100, "n": range(100), "f": [True, None] * 50},
        {"a": ["x", "z"] * 50, "b": [f"{n}" for n in range(100)], "n": range(100), "f": True},
    ]
    schema = Records.read(pd.DataFrame(pieces[0])).schema
    kept = Kept(schema.columns, 3)
    for place, piece in enumerate(pieces):
        rows = np.arange(100) + 100 * place
        outcome = replace(outcome_of("number", np.zeros(100), np.ones(100)), rows=rows)
        kept.add(Records.read(pd.DataFrame(piece), schema=schema), {"a": outcome})
    assert [*kept.groups] == ["a", "f"]
    assert kept.groups.loc[range(200), "a"].tolist() == ["x", "y"] * 50 + ["x", "z"] * 50


def test_a_report_is_there_though_importances_cannot_be_found(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("barrage_mlflow.evaluation.set_report.permute", broken)
    scorer = SimpleNamespace(**vars(SCORER), schema=Schema())
    monkeypatch.setattr("barrage_mlflow.evaluation.set_report.Observer", lambda _: None)
    outcome = ODD["a constant target"]
    evaluation = Evaluation({"a": outcome}, kept_of(outcome), len(outcome), 0.5)
    write_report(scorer, evaluation, tmp_path, "How good", Options(), math.inf)
    text = (tmp_path / "report.md").read_text("utf-8")
    assert "## Importance of columns\n\nIt failed: TypeError: " in text
    assert "| mae | 3.222 |" in text
    assert len(caplog.messages) == 1
