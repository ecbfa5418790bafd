"""Files of any size: the whole file, the same after any interrupt, and nothing half at its name."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from stub_scorer import StubScorer, score_file

from barrage_mlflow import ArtifactError, RecordError, Scorer
from barrage_mlflow.commands.predict import predict
from barrage_mlflow.errors import ComponentError
from barrage_mlflow.workspace.lock import locked

pytestmark = pytest.mark.usefixtures("small_parts")

SOURCES = ["csv", "csv.gz", "jsonl", "json", "parquet"]
OUTPUTS = ["csv", "jsonl", "json", "parquet"]
RECORDS = 57


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder as a packaged model has it."""
    folder = tmp_path / "model"
    for name in ("data", "code"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_text(name)
    return folder


def write_records(kind: str, records: int = RECORDS) -> str:
    """Records with columns id, a and s."""
    rows: list[dict[str, Any]] = [
        {"id": f"{number:04}", "a": number / 4, "s": f"{number % 5}" if number % 3 else None}
        for number in range(records)
    ]
    path = f"records.{kind}"
    frame = pd.DataFrame(rows)
    if kind.startswith("csv"):
        frame.to_csv(path, index=False)
    elif kind == "parquet":
        frame.to_parquet(path, row_group_size=10)
    else:
        lines = list(map(json.dumps, rows))
        Path(path).write_text("\n".join(lines) if kind == "jsonl" else f"[{','.join(lines)}]")
    return path


def read_scores(path: str) -> list[dict[str, Any]]:
    if path.endswith("csv"):
        frame = pd.read_csv(path, dtype={"id": str, "name": str}, keep_default_na=False)
        rows: list[dict[str, Any]] = frame.to_dict("records")
        return [{**row, "p": json.loads(row["p"]), "name": row["name"] or None} for row in rows]
    if path.endswith("parquet"):
        listed: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return listed
    text = Path(path).read_text("utf-8")
    return list(json.loads(text if path.endswith("json") else f"[{','.join(text.splitlines())}]"))


EXPECTED = [
    {
        "id": f"{number:04}",
        "p": [number / 4, pytest.approx(number / 12)],
        "whole": number // 4,
        "name": f"<{number % 5}>" if number % 3 else None,
    }
    for number in range(RECORDS)
]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("output", OUTPUTS)
def test_every_record_is_scored_in_its_order(model: Path, source: str, output: str) -> None:
    scorer = StubScorer(model)
    path = f"scores.{output}"
    done = score_file(scorer, write_records(source), path, keep=["id"])
    assert (done.records, done.resumed, scorer.scored) == (RECORDS, 0, RECORDS)
    assert done.seconds > 0
    assert read_scores(path) == EXPECTED
    assert sorted(map(str, Path().iterdir())) == ["model", f"records.{source}", path]


def test_records_are_printed_part_by_part(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scorer, "load", lambda folder: StubScorer(model))
    written: list[bytes] = []
    predict(write_records("csv"), model.parent, None, ["id"], 4, [], written.append, None)
    assert len(written) == 15
    assert [json.loads(line) for line in b"".join(written).splitlines()] == EXPECTED


class Stopping(StubScorer):
    """Does something instead of scoring its nth piece."""

    def __init__(self, folder: Path, piece: int, act: Callable[[], object]) -> None:
        super().__init__(folder)
        self._left = piece
        self._act = act

    def score(self, records: Any, *options: Any) -> dict[str, Any]:
        self._left -= 1
        if self._left < 0:
            self._act()
        return super().score(records, *options)


def stop() -> None:
    raise SystemError("stopped")


@pytest.fixture(params=[(source, "csv") for source in SOURCES] + [("csv", o) for o in OUTPUTS])
def kinds(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The endings of a source and an output."""
    kinds: tuple[str, str] = request.param
    return kinds


@pytest.mark.parametrize("piece", [1, 7, 14])
def test_what_was_broken_off_goes_on_to_the_same_file(
    model: Path, kinds: tuple[str, str], piece: int
) -> None:
    source, output = write_records(kinds[0]), f"scores.{kinds[1]}"
    score_file(StubScorer(model), source, f"whole.{kinds[1]}", keep=["id"])
    for _ in range(2):  # and once more right away, with nothing done in between
        with pytest.raises(SystemError, match="stopped") as broken:
            score_file(Stopping(model, piece, stop), source, output, keep=["id"])
        piece = 0
        assert not Path(output).exists()
        (note,) = broken.value.__notes__
    scorer = StubScorer(model)
    done = score_file(scorer, source, output, keep=["id"])
    assert note == (
        f"{done.resumed} records are scored and kept in {output}.unfinished; the same command goes "
        "on after them, unless records or model change"
    )
    assert (done.records, done.resumed + scorer.scored) == (RECORDS, RECORDS)
    assert scorer.scored < RECORDS
    assert Path(output).read_bytes() == Path(f"whole.{kinds[1]}").read_bytes()
    assert not Path(f"{output}.unfinished").exists()


def test_what_a_column_of_parquet_must_hold_is_known_from_rows_of_another_process(
    model: Path,
) -> None:
    ids = [number if number < 30 else number + 0.5 for number in range(57)]
    rows = [json.dumps({"a": 1, "s": None, "id": one}) for one in ids]
    Path("records.jsonl").write_text("\n".join(rows))
    with pytest.raises(SystemError, match="stopped"):
        score_file(Stopping(model, 5, stop), "records.jsonl", "scores.parquet", keep=["id"])
    score_file(StubScorer(model), "records.jsonl", "scores.parquet", keep=["id"])
    table = pq.read_table("scores.parquet")
    assert {field.name: str(field.type) for field in table.schema}["id"] == "double"
    assert table["id"].to_pylist() == ids


def test_rows_behind_those_that_count_are_cut_off(model: Path) -> None:
    """As a kill leaves them, between the rows and the count of them."""
    source = write_records("csv")
    score_file(StubScorer(model), source, "whole.csv")
    Path("scores.csv").write_text("before")
    with pytest.raises(SystemError, match="stopped"):
        score_file(Stopping(model, 5, stop), source, "scores.csv")
    assert Path("scores.csv").read_text() == "before"
    with Path("scores.csv.unfinished/rows").open("ab") as rows:
        rows.write(b"half a ro")
    assert score_file(StubScorer(model), source, "scores.csv").resumed == 20
    assert Path("scores.csv").read_bytes() == Path("whole.csv").read_bytes()


def change(name: str, text: str) -> Callable[[], object]:
    return lambda: Path(name).write_text(text)


def touch_records() -> None:
    os.utime("records.csv", (0, 0))


DAMAGED = "scores.csv.unfinished is damaged"
CHANGED = "{} changed since scores.csv.unfinished was begun"


@pytest.mark.parametrize(
    ("make", "options", "why"),
    [
        (touch_records, {}, CHANGED.format("the records")),
        (change("model/data/file", "other"), {}, CHANGED.format("the model")),
        (lambda: None, {"keep": ["id"]}, CHANGED.format("the options")),
        (lambda: None, {"params": {"mark": "]"}}, CHANGED.format("the params")),
        (lambda: Path("scores.csv.unfinished/rows").unlink(), {}, DAMAGED),
        (change("scores.csv.unfinished/progress.json", "{"), {}, DAMAGED),
        (change("scores.csv.unfinished/progress.json", '{"about": {}}'), {}, DAMAGED),
    ],
)
def test_what_was_made_of_something_else_starts_afresh(
    model: Path,
    make: Callable[[], object],
    options: dict[str, Any],
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = write_records("csv")
    with pytest.raises(SystemError, match="stopped"):
        score_file(Stopping(model, 5, stop), source, "scores.csv")
    make()
    scorer = StubScorer(model)
    assert score_file(scorer, source, "scores.csv", **options).resumed == 0
    assert scorer.scored == RECORDS
    assert caplog.messages == [f"starting afresh: {why}"]
    assert len(read_scores("scores.csv")) == RECORDS


def test_one_process_at_a_time_writes_a_file(model: Path) -> None:
    source = write_records("csv")
    with (
        locked(Path("scores.csv.unfinished")),
        pytest.raises(ArtifactError, match=r"^scores.csv.unfinished is in use by process \d+ on"),
    ):
        score_file(StubScorer(model), source, "scores.csv")
    score_file(StubScorer(model), source, "scores.csv")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_between_two_pieces(model: Path, number: signal.Signals) -> None:
    source = write_records("csv")
    score_file(StubScorer(model), source, "whole.csv")
    scorer = Stopping(model, 5, lambda: signal.raise_signal(number))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt, match=number.name) as stopped:
            score_file(scorer, source, "scores.csv")
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.value.__notes__[0].startswith("24 records are scored and kept in scores.csv.unf")
    assert score_file(StubScorer(model), source, "scores.csv").resumed == 24
    assert Path("scores.csv").read_bytes() == Path("whole.csv").read_bytes()


@pytest.mark.parametrize("output", ["csv", "parquet"])
def test_a_full_disk_is_told_and_what_is_whole_stays(model: Path, output: str) -> None:
    source, path = write_records("csv", 4000), f"scores.{output}"
    score_file(StubScorer(model), source, f"whole.{output}", batch_size=100)
    size = Path(f"whole.{output}").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
    try:
        with pytest.raises(
            ArtifactError,
            match=rf"^{path}: it could not be written \(.*File too large.*\); free some space",
        ) as full:
            score_file(StubScorer(model), source, path, batch_size=100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "records are scored and kept in" in full.value.__notes__[0]
    assert not Path(path).exists()
    assert score_file(StubScorer(model), source, path, batch_size=100).resumed > 0
    assert read_scores(path) == read_scores(f"whole.{output}")


def test_outputs_that_change_are_an_error(model: Path) -> None:
    scorer = Stopping(model, 3, lambda: setattr(scorer, "score", other))

    def other(records: Any, *options: Any) -> dict[str, Any]:
        return {"q": np.zeros(len(records))}

    with pytest.raises(
        ComponentError,
        match=r"^expected the outputs of the records before, \['p', 'whole', 'name'\], got \['q'\]",
    ):
        score_file(scorer, write_records("csv"), "scores.csv")


def test_a_bad_record_is_named_and_those_before_it_are_kept(model: Path) -> None:
    source = write_records("csv")
    lines = Path(source).read_text().splitlines()
    lines[31] = "0030,many,x"
    Path(source).write_text("\n".join(lines))
    with pytest.raises(
        RecordError,
        match=r"^records.csv, record 30 \(line 32\), column 'a': expected a number, got 'many'",
    ) as bad:
        score_file(StubScorer(model), source, "scores.csv")
    # A part of the file is brought to its kinds at once.
    assert bad.value.__notes__[0].startswith("24 records are scored and kept")
