"""Going on with a training: in its folder and its MLflow run, or not at all if it has changed."""

from __future__ import annotations

import json
import logging
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from runs import Terminate, history, only_run
from small import small_config, small_frame

from barrage_mlflow import ArtifactError, train
from barrage_mlflow.dataset import Records
from barrage_mlflow.services import find_checkpoint
from barrage_mlflow.workspace.lock import locked

TRAIN, VALIDATION = small_frame(60, seed=0), small_frame(20, seed=1)


def outcome(folder: str) -> dict[str, Any]:
    checkpoint = find_checkpoint(Path(folder, "checkpoints", "resume"))
    assert checkpoint is not None
    return {
        "place": (checkpoint.epoch, checkpoint.batch, checkpoint.logs),
        "report": Path(folder, "training_report.csv").read_text("utf-8"),
        "arrays": {name: array.tolist() for name, array in checkpoint._arrays.items()},
        "best": Path(folder, "checkpoints", "best.weights.h5").stat().st_size,
    }


def interrupt(folder: str = "out", place: tuple[int, int] = (1, 1), **config: Any) -> None:
    with pytest.raises(KeyboardInterrupt) as error:
        train(
            small_config(**config),
            TRAIN,
            VALIDATION,
            artifact_dir=folder,
            callbacks=[Terminate(*place)],
        )
    assert error.value.__notes__ == [f"go on with: --artifact-dir {folder} --resume"]


def resume(folder: str = "out", **options: Any) -> Any:
    values = {"config": small_config(), "records_train": TRAIN, "records_validation": VALIDATION}
    return train(**{**values, **options}, artifact_dir=folder, resume=True)


def test_a_killed_training_goes_on_in_its_run(caplog: pytest.LogCaptureFixture) -> None:
    whole = train(small_config(), TRAIN, VALIDATION, artifact_dir="whole")
    interrupt()
    (killed,) = mlflow.search_runs(
        search_all_experiments=True, output_format="list", filter_string="status = 'KILLED'"
    )
    with caplog.at_level(logging.INFO):
        result = resume()
    place = "going on at epoch 2, batch 3, from out/checkpoints/resume/epoch-00001-batch-2.npz"
    assert place in caplog.messages
    assert outcome("out") == outcome("whole")
    assert result.run_id == killed.info.run_id
    assert (result.best_epoch, result.metrics) == (whole.best_epoch, whole.metrics)
    run = mlflow.get_run(result.run_id)
    assert (run.info.status, run.data.tags["barrage.resumed_at"]) == (
        "FINISHED",
        "epoch 2, batch 3",
    )
    assert history(result.run_id) == history(whole.run_id)
    assert len(run.inputs.dataset_inputs) == 2
    scores = [
        mlflow.pyfunc.load_model(done.model_uri).predict(VALIDATION) for done in (whole, result)
    ]
    np.testing.assert_array_equal(scores[0].to_numpy(), scores[1].to_numpy())


def test_resuming_where_nothing_was_begun_starts_a_training() -> None:
    result = resume()
    assert mlflow.get_run(result.run_id).info.status == "FINISHED"


def test_a_finished_training_is_left_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    result = resume()
    mlflow.MlflowClient().update_run(result.run_id, status="RUNNING")  # killed at the very end
    about = json.loads(Path("out/run.json").read_text("utf-8"))
    Path("out/run.json").write_text(json.dumps({**about, "complete": False}), "utf-8")
    before = outcome("out")
    with caplog.at_level(logging.INFO):
        assert resume() == result
    assert caplog.messages[-1] == "out has finished; nothing is left to train"
    assert outcome("out") == before
    assert only_run().info.status == "FINISHED"


def test_a_training_killed_before_its_first_checkpoint_starts_again() -> None:
    """The metrics of its first epoch may have been sent by then."""
    interrupt(place=(1, 0))
    for path in Path("out", "checkpoints", "resume").iterdir():
        path.unlink()
    result = resume()
    whole = train(small_config(), TRAIN, VALIDATION, artifact_dir="whole")
    assert outcome("out") == outcome("whole")
    assert history(result.run_id) == history(whole.run_id)


@pytest.mark.parametrize("kept", ["run.json", "resolved_config.json"])
def test_a_training_killed_while_it_began_starts_again(kept: str) -> None:
    """Its folder holds some of the files alone, run.json among them."""
    interrupt(place=(0, 0))
    for path in Path("out").iterdir():
        if path.name not in (kept, "run.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert mlflow.get_run(resume().run_id).info.status == "FINISHED"


def test_a_seed_that_was_drawn_is_kept() -> None:
    config = small_config()
    del config["dataset"]["seed"]
    with pytest.raises(KeyboardInterrupt):
        train(config, TRAIN, VALIDATION, artifact_dir="out", callbacks=[Terminate(1, 1)])
    seed = json.loads(Path("out", "resolved_config.json").read_text())["dataset"]["seed"]
    resume(config=config)
    train(small_config(dataset__seed=seed), TRAIN, VALIDATION, artifact_dir="whole")
    assert outcome("out") == outcome("whole")


def test_what_has_changed_is_refused_and_told() -> None:
    interrupt()
    more = small_frame(61, seed=0)
    with pytest.raises(ArtifactError) as error:
        resume(config=small_config(solver__epochs=4), records_train=more)
    first, change, records, last = str(error.value).splitlines()
    assert first == "out: what was begun there has changed since:"
    assert change == "  config $.solver.epochs: 3 → 4"
    before = json.loads(Path("out", "run.json").read_text())["datasets"][0]["digest"]
    now = Records.read(more).digest()
    assert records == f"  train records: digest {before} → {now}"
    assert last == "undo that, name a new folder, or go on all the same with --resume-anyway"
    assert only_run().info.status == "KILLED"


def test_resume_anyway_goes_on_and_says_so() -> None:
    interrupt()
    config = small_config(solver__epochs=4)
    result = train(config, TRAIN, VALIDATION, artifact_dir="out", resume_anyway=True)
    tags = mlflow.get_run(result.run_id).data.tags
    assert tags["barrage.resumed_anyway"] == "config $.solver.epochs: 3 → 4"
    whole = train(config, TRAIN, VALIDATION, artifact_dir="whole")
    assert history(result.run_id) == history(whole.run_id)
    assert outcome("out") == outcome("whole")


def test_code_that_has_changed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("__init__", "loaders", "gone"):
        Path("made", f"{name}.py").write_text("")
    Path("made", "loaders.py").write_text(
        "from barrage_mlflow.dataset import KeySelector\n\n\nclass Loader(KeySelector):\n    pass\n"
    )
    loader = {"dataset__loader__import": "made.loaders.Loader"}
    interrupt(**loader)
    Path("made", "gone.py").unlink()
    Path("made", "new.py").write_text("")
    with Path("made", "loaders.py").open("a") as file:
        file.write("\n")
    with pytest.raises(ArtifactError) as error:
        resume(config=small_config(**loader))
    assert str(error.value).splitlines()[1:-1] == [
        "  code made/gone.py: is gone",
        "  code made/loaders.py: has changed",
        "  code made/new.py: is new",
    ]


def test_a_run_that_was_killed_for_good_is_set_right_by_the_next_start() -> None:
    interrupt()
    mlflow.MlflowClient().update_run(only_run().info.run_id, status="RUNNING")
    with pytest.raises(ArtifactError) as error:
        train(small_config(), TRAIN, VALIDATION, artifact_dir="out")
    assert str(error.value) == (
        "out already holds a run; nothing is overwritten: name a new folder, or go on with that "
        "run: --resume"
    )
    assert only_run().info.status == "KILLED"


def test_a_folder_in_use_is_refused() -> None:
    with locked(Path("out")), pytest.raises(ArtifactError, match=r"^out is in use by process \d+"):
        resume()
    assert not Path("out").exists()


def test_resuming_needs_a_folder() -> None:
    with pytest.raises(ArtifactError, match=r"^resume needs an artifact_dir"):
        train(small_config(), TRAIN, VALIDATION, resume=True)


def test_what_is_not_a_training_is_refused() -> None:
    Path("out").mkdir()
    Path("out", "run.json").write_text("[]")
    with pytest.raises(ArtifactError) as error:
        resume()
    assert str(error.value) == (
        "out/run.json: not as this version of Barrage writes it; name a new folder"
    )


def auto(**options: Any) -> Any:
    values = {"config": small_config(), "records_train": TRAIN, "records_validation": VALIDATION}
    return train(**{**values, **options}, resume="auto")


def interrupt_unnamed(**config: Any) -> str:
    with pytest.raises(KeyboardInterrupt):
        train(small_config(**config), TRAIN, VALIDATION, callbacks=[Terminate(1, 1)])
    (newest,) = mlflow.search_runs(search_all_experiments=True, output_format="list", max_results=1)
    assert newest.info.status == "KILLED"
    return newest.info.run_id


def test_auto_goes_on_with_the_newest_unfinished_training_of_the_same() -> None:
    interrupt_unnamed()
    newest = interrupt_unnamed()
    interrupt_unnamed(solver__batch_size=8)
    whole = train(small_config(), TRAIN, VALIDATION, artifact_dir="whole")
    result = auto()
    assert result.run_id == newest
    assert outcome(str(result.artifact_dir)) == outcome("whole")
    assert history(result.run_id) == history(whole.run_id)


def test_auto_starts_a_training_where_none_is_unfinished() -> None:
    first = auto()
    assert mlflow.get_run(first.run_id).info.status == "FINISHED"
    assert auto().run_id != first.run_id
    assert len(list(Path("artifacts").iterdir())) == 2


def test_auto_keeps_a_seed_that_was_drawn() -> None:
    config = small_config()
    del config["dataset"]["seed"]
    with pytest.raises(KeyboardInterrupt):
        train(config, TRAIN, VALIDATION, callbacks=[Terminate(1, 1)])
    killed = only_run().info.run_id
    assert auto(config=config).run_id == killed


def test_auto_waits_for_the_process_that_was_stopped() -> None:
    killed = interrupt_unnamed()
    (folder,) = Path("artifacts").iterdir()
    ready = threading.Event()

    def hold() -> None:
        with locked(folder):
            ready.set()
            time.sleep(1)

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait(10)
    assert auto().run_id == killed
    thread.join()


def test_the_run_that_mlflow_opened_for_it_leads_to_the_one_that_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed = interrupt_unnamed()
    client = mlflow.MlflowClient()
    opened = client.create_run(client.get_run(killed).info.experiment_id).info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", opened)
    assert auto().run_id == killed
    run = client.get_run(opened)
    assert (run.info.status, run.data.metrics, run.data.params) == ("FINISHED", {}, {})
    assert run.data.tags["barrage.resumed_run"] == killed


def change_about(folder: str, **values: Any) -> None:
    path = Path(folder, "run.json")
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")


def test_auto_completes_a_training_that_was_killed_while_its_model_was_logged() -> None:
    result = auto()
    mlflow.MlflowClient().update_run(result.run_id, status="RUNNING")
    change_about(str(result.artifact_dir), status="RUNNING", complete=False)
    assert auto() == result
    assert only_run().info.status == "FINISHED"
    assert auto().run_id != result.run_id


def test_a_finished_training_is_trained_longer_if_told_so() -> None:
    first = resume()
    config = small_config(solver__epochs=5)
    with pytest.raises(ArtifactError, match=r"epochs: 3 → 5"):
        resume(config=config)
    longer = resume(config=config, resume_anyway=True)
    assert longer.run_id == first.run_id
    assert longer.model_uri != first.model_uri
    steps = {step for _, step, _ in history(only_run().info.run_id)}
    assert steps == {1, 2, 3, 4, 5}
    whole = train(config, TRAIN, VALIDATION, artifact_dir="whole")
    assert outcome("out") == outcome("whole")
    assert longer.metrics == whole.metrics
    assert resume(config=config) == longer


def test_a_training_killed_in_its_first_moment_starts_again() -> None:
    Path("out").mkdir()
    Path("out/partial-run.json").write_text("{")
    assert resume().metrics == resume("other").metrics


def test_a_report_that_a_crash_cut_short_is_made_whole() -> None:
    interrupt(place=(2, 1))
    report = Path("out/training_report.csv")
    report.write_text("epoch,learning_rate,lo", "utf-8")
    resume()
    train(small_config(), TRAIN, VALIDATION, artifact_dir="whole")
    assert outcome("out") == outcome("whole")


def test_a_damaged_checkpoint_is_put_aside() -> None:
    interrupt(place=(2, 1))
    folder = Path("out/checkpoints/resume")
    (folder / "epoch-00002-batch-2.npz").write_bytes(b"damaged")
    (folder / "partial-epoch-00001.npz").write_bytes(b"left by a kill")
    resume()
    train(small_config(), TRAIN, VALIDATION, artifact_dir="whole")
    assert outcome("out") == outcome("whole")
    assert sorted(path.name for path in folder.iterdir()) == [
        "damaged-epoch-00002-batch-2.npz",
        "epoch-00002.npz",
        "epoch-00003.npz",
    ]
