"""Going on with a training in its folder, or not at all if it has changed."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from outside import read_weights
from small import small_config, small_frame
from trainings import (
    TRAIN,
    VALIDATION,
    Finished,
    Following,
    files,
    kill,
    newest_checkpoint,
    outcome,
    record_of,
    resume,
)

from barrage_mlflow import ArtifactError
from barrage_mlflow.dataset import Records
from barrage_mlflow.training.train import train

OUT = Path("out")


def test_a_killed_training_goes_on_as_if_it_had_never_stopped(
    killed: Path, finished: Finished, caplog: pytest.LogCaptureFixture
) -> None:
    before = record_of(killed)
    assert (before.status, before.error) == ("KILLED", "KeyboardInterrupt: SIGTERM")
    newest = newest_checkpoint(killed)
    publisher = Following()
    with caplog.at_level(logging.INFO):
        result = resume(killed, publisher=publisher)
    assert f"going on at epoch 2, batch 3, from {newest}" in caplog.messages
    assert outcome(killed) == outcome(finished.folder)
    assert replace(result, artifact_dir=OUT) == finished.result
    assert record_of(killed).tags == {"barrage.resumed_at": "epoch 2, batch 3"}
    assert record_of(killed).started == before.started
    assert [record.status for record in publisher.records] == ["RUNNING", "FINISHED"]


def test_another_number_of_threads_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    kill(Path("killed"))
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")
    resume(Path("killed"))
    assert [each for each in caplog.messages if "threads" in each] == [
        "going on with 5 threads, not with 3: last bits may differ; --threads sets it"
    ]


@pytest.mark.parametrize("crashed", [False, True])
def test_what_a_crash_left_half_is_made_whole(
    killed: Path, finished: Finished, crashed: bool
) -> None:
    report, home = killed / "training_report.csv", killed / "checkpoints" / "resume"
    if crashed:
        newest_checkpoint(killed).write_bytes(b"damaged")
        report.write_text("epoch,learning_rate,lo", "utf-8")
        (home / "partial-1.npz").write_bytes(b"left by a kill")
    else:  # killed before its first checkpoint; the metrics of its first epoch are there
        shutil.rmtree(home)
    resume(killed)
    assert outcome(killed) == outcome(finished.folder)


def test_a_flipped_bit_reaches_no_package() -> None:
    config = small_config(
        dataset__transformer={"import": "check_parts.Coding"},
        services__best_checkpoint={"monitor": "val_loss", "mode": "max"},  # the first epoch's
    )
    train(config, TRAIN, VALIDATION, artifact_dir="whole")
    kill(OUT, config=config)
    names, best = OUT / "model/data/transformer/names.json", OUT / "checkpoints/best.weights.h5"
    kernel = max(read_weights(best).values(), key=len)
    for path, found in ((names, names.read_bytes()), (best, kernel)):
        flipped = bytes([found[0] ^ 1]) + found[1:]
        path.write_bytes(path.read_bytes().replace(found, flipped))
    with pytest.raises(ArtifactError, match="the files of its transformer are not as they were"):
        resume(OUT, config=config)
    shutil.copy("whole/model/data/transformer/names.json", names)
    assert resume(OUT, config=config).best_epoch == 1
    assert outcome(OUT) == outcome(Path("whole"))


@pytest.mark.parametrize("kept", [[], ["run.json"]])
def test_a_training_killed_while_it_began_starts_again(
    killed: Path, finished: Finished, kept: list[str]
) -> None:
    for path in killed.iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (killed / "partial-run.json").write_text("{")
    assert resume(killed).metrics == finished.result.metrics
    assert files(killed) == files(finished.folder)


def test_a_seed_that_was_drawn_is_kept() -> None:
    config = small_config(solver__epochs=2)
    del config["dataset"]["seed"]
    kill(OUT, (0, 1), config=config)
    seed = json.loads((OUT / "resolved_config.json").read_text())["dataset"]["seed"]
    resume(OUT, config=config)
    assert json.loads((OUT / "resolved_config.json").read_text())["dataset"]["seed"] == seed


def test_a_finished_training_is_left_as_it_is(
    copied: Callable[[], Path], finished: Finished, caplog: pytest.LogCaptureFixture
) -> None:
    folder = copied()
    before = outcome(folder)
    with caplog.at_level(logging.INFO):
        assert replace(resume(folder), artifact_dir=Path("out")) == finished.result
    assert caplog.messages == ["out has finished; nothing is left to train"]
    publisher = Following()
    resume(folder, publisher=publisher)
    assert publisher.records == []  # all of it is published
    resume(folder, publisher=publisher, register="small", alias="champion")
    assert publisher.records[0] == replace(
        record_of(finished.folder), register="small", alias="champion", published=False
    )
    resume(folder, publisher=publisher, register="small")
    assert len(publisher.records) == 1
    resume(folder, publisher=publisher, register="other")
    assert (record_of(folder).register, record_of(folder).alias) == ("other", None)
    assert outcome(folder) == before


def test_one_that_was_killed_at_its_very_end_is_finished(
    copied: Callable[[], Path], finished: Finished
) -> None:
    folder = copied()
    replace(record_of(folder), status="RUNNING", ended=None, published=False).write(folder)
    publisher = Following()
    resume(folder, publisher=publisher)
    assert [record.status for record in publisher.records] == ["FINISHED"]
    assert record_of(folder).published
    assert record_of(folder).ended is not None


def test_what_has_changed_is_refused_and_shown(killed: Path) -> None:
    more = small_frame(61, seed=0)
    with pytest.raises(ArtifactError, match=r"^killed: what was begun there has changed") as error:
        resume(killed, config=small_config(solver__epochs=4), records_train=more)
    before = record_of(killed).datasets[0].digest
    assert str(error.value).splitlines()[1:] == [
        "  config $.solver.epochs: 3 → 4",
        f"  train records: digest {before} → {Records.read(more).digest()}",
        "undo that, name a new folder, or go on all the same with --resume-anyway",
    ]
    assert record_of(killed).status == "KILLED"


def test_a_training_is_trained_longer_if_that_is_asked_for(
    copied: Callable[[], Path], killed: Path
) -> None:
    folder, config = copied(), small_config(solver__epochs=4)
    report = folder / "evaluation/validation/report.md"
    report.parent.mkdir(parents=True)
    report.write_text("Of the model before.", "utf-8")
    replace(record_of(folder), evaluation={"validation": {"at": 0, "metrics": {}}}).write(folder)
    with pytest.raises(ArtifactError, match=r"epochs: 3 → 4"):
        resume(folder, config=config)
    train(config, TRAIN, VALIDATION, artifact_dir="whole")
    for begun in (folder, killed):
        longer = train(config, TRAIN, VALIDATION, artifact_dir=begun, resume_anyway=True)
        tags = record_of(begun).tags
        assert tags["barrage.resumed_anyway"] == "config $.solver.epochs: 3 → 4"
        assert record_of(begun).evaluation == {}
        assert outcome(begun) == outcome(Path("whole"))
        assert resume(begun, config=config) == longer
    assert not report.exists()
