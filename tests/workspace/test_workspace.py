"""What an artifact folder keeps of a training, and what of one that was begun is found again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from barrage_mlflow.config import read_config
from barrage_mlflow.errors import ArtifactError
from barrage_mlflow.workspace.changes import find_changes
from barrage_mlflow.workspace.find import find_run, find_unfinished
from barrage_mlflow.workspace.lock import locked
from barrage_mlflow.workspace.record import Dataset, RunRecord, read_record
from barrage_mlflow.workspace.workspace import Workspace

CONFIG = {"solver": {"epochs": 3}}
DATASETS = (Dataset("train", "d1", "train.csv", {"a": "int64"}, 60),)


def begin(folder: Path, config=CONFIG, changes=(), code=(), **values) -> None:
    with Workspace.open(folder) as work:
        work.begin(read_config(config), config, code, changes, {"datasets": DATASETS, **values})


def end(folder: Path, error: BaseException | None = None) -> RunRecord:
    with Workspace.open(folder) as work, work.attempt():
        if error is not None:
            raise error
        work.update(best_epoch=2)
    return work.record


def test_a_training_is_begun_and_begun_again(tmp_path: Path) -> None:
    begin(Path("out"), tags={"a": "1"}, register="small")
    record = read_record(Path("out"))
    assert record is not None
    assert (record.status, record.tags, record.register) == ("RUNNING", {"a": "1"}, "small")
    assert record.datasets == DATASETS
    assert json.loads(Path("out/resolved_config.json").read_text()) == CONFIG
    assert json.loads(Path("out/config.json").read_text()) == CONFIG
    assert end(Path("out")).status == "FINISHED"

    begin(Path("out"), {"solver": {"epochs": 5}}, ["epochs: 3 → 5"], tags={"b": "2"})
    again = read_record(Path("out"))
    assert again == replace(
        record, tags={"a": "1", "b": "2", "barrage.resumed_anyway": "epochs: 3 → 5"}
    )
    assert json.loads(Path("out/resolved_config.json").read_text()) == {"solver": {"epochs": 5}}


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (ValueError("bad"), "FAILED", "ValueError: bad"),
        (KeyboardInterrupt("SIGTERM"), "KILLED", "KeyboardInterrupt: SIGTERM"),
    ],
)
def test_what_ends_a_training_is_kept(error: BaseException, status: str, told: str) -> None:
    begin(Path("out"))
    Path("out/checkpoints/resume").mkdir(parents=True)
    Path("out/checkpoints/resume/1.npz").touch()
    with pytest.raises(type(error), match=str(error)):
        end(Path("out"), error)
    record = read_record(Path("out"))
    assert record is not None
    assert (record.status, record.error) == (status, told)
    notes = ["go on with: --artifact-dir out --resume"] if status == "KILLED" else []
    assert getattr(error, "__notes__", []) == notes


def test_a_training_that_breaks_before_its_attempt_has_failed() -> None:
    def break_off() -> None:
        with Workspace.open(Path("out")) as work:
            work.begin(read_config(CONFIG), CONFIG, [], [], {})
            raise ValueError("MLflow is gone")

    with pytest.raises(ValueError, match="MLflow is gone"):
        break_off()
    record = read_record(Path("out"))
    assert record is not None
    assert (record.status, record.error) == ("FAILED", "ValueError: MLflow is gone")


def test_one_process_has_a_folder_and_an_empty_one_is_removed() -> None:
    with (
        locked(Path("out")),
        pytest.raises(ArtifactError, match=r"^out is in use by process \d+"),
        Workspace.open(Path("out")),
    ):
        pass
    assert not Path("out").exists()
    Path("file").touch()
    for folder, message in (
        ("file", r"^file: the folder cannot be written to \(.*File exists.*\); name another one$"),
        ("file/out", r"^file/out: the folder cannot be written to \(.*Not a directory.*\); name"),
    ):
        with pytest.raises(ArtifactError, match=message), Workspace.open(Path(folder)):
            pass


@pytest.mark.parametrize("text", ["[]", '{"run_id": "1f0c", "status": "KILLED"}', '{"format": 4}'])
def test_what_another_version_began_is_refused(text: str) -> None:
    Path("out").mkdir()
    Path("out/run.json").write_text(text)
    message = r"^out/run.json: not as this version of Barrage writes it; it can neither be resumed"
    with pytest.raises(ArtifactError, match=message), Workspace.open(Path("out")):
        pass


def test_what_has_changed_is_found(tmp_path: Path) -> None:
    code = Path("made")
    code.mkdir()
    for name in ("same", "gone", "other"):
        (code / f"{name}.py").write_text("")
    begin(Path("out"), code=[code])
    assert find_changes(Path("out"), CONFIG, [code], DATASETS) == []
    (code / "gone.py").rename(code / "new.py")
    (code / "other.py").write_text("\n")
    more = (replace(DATASETS[0], digest="d2"), Dataset("test", "t", "", {}, 1))
    assert find_changes(Path("out"), {"solver": {"epochs": 4}}, [code], more) == [
        "config $.solver.epochs: 3 → 4",
        "code made/gone.py: is gone",
        "code made/new.py: is new",
        "code made/other.py: has changed",
        "train records: digest d1 → d2",
    ]


def test_unfinished_trainings_and_runs_are_found() -> None:
    home = Path("artifacts")
    for name in ("offline", "published", "unpublished", "killed"):
        begin(home / name, run_id=None if name == "offline" else name)
        if name != "killed":
            end(home / name)
    with Workspace.open(home / "published") as work:
        work.update(published=True)
    begin(home / "torn")
    (home / "torn" / "resolved_config.json").write_text("{")
    for name in ("damaged", "empty"):
        (home / name).mkdir()
    (home / "damaged" / "run.json").write_text("[]")
    assert {folder.name for folder in find_unfinished(home)} == {"unpublished", "killed"}
    assert find_run(home, "published") == home / "published"
    assert find_run(home, "none") is None
