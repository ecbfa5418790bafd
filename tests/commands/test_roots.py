"""A model of files under a root: trained, proved, scored from files and from base64, resumed."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from small import small_config

from barrage_mlflow import ArtifactError, Scorer, train
from barrage_mlflow.cli import main
from barrage_mlflow.errors import RecordError

LOADERS = '''
import numpy as np
from barrage_mlflow import RecordLoader, RecordMode

class Loader(RecordLoader):
    """Decodes a photo of two bytes."""

    def load(self, record):
        x = {"x": np.frombuffer(record["photo"], np.uint8)[:2].astype(np.float32) / 255}
        return (x,) if self.mode is RecordMode.SCORE else (x, {"label": np.array(record["label"])})

class Asking(Loader):
    """Asks for the photos itself."""

    def column_kinds(self):
        return {"photo": {"kind": "bytes", "root": "data/photos"}}
'''
COLUMNS = {"photo": {"kind": "bytes", "root": "data/photos"}}


def write_set(project: Path, name: str, count: int) -> None:
    """Photos, and a file of their paths and labels."""
    photos = np.random.default_rng(count).integers(0, 256, (count, 2), dtype=np.uint8)
    folder = project / "data" / "photos" / name
    folder.mkdir(parents=True)
    for number, photo in enumerate(photos):
        (folder / f"{number}.raw").write_bytes(photo.tobytes())
    paths = [f"{name}/{number}.raw" for number in range(count)]
    frame = pd.DataFrame({"photo": paths, "label": (photos[:, 0] > photos[:, 1]).astype(int)})
    frame.to_csv(project / f"{name}.csv", index=False)


def write_config(project: Path, **values: Any) -> None:
    config = small_config(solver__epochs=1, **values)
    (project / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the project ``photos`` in it, and what its training left in ``out``."""
    home = tmp_path_factory.mktemp("home")
    project = home / "photos"
    for name, count in (("train", 24), ("validation", 8)):
        write_set(project, name, count)
    (project / "photo_loaders.py").write_text(LOADERS)
    write_config(
        project, dataset__loader={"import": "photo_loaders.Loader"}, dataset__columns=COLUMNS
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        run_training(home)
        yield home


def run_training(home: Path, folder: str = "out", **options: Any) -> None:
    project = home / "photos"
    files = project / "train.csv", project / "validation.csv"
    train(project / "config.json", *files, artifact_dir=home / folder, offline=True, **options)


@pytest.fixture
def home(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, in which the test works."""
    monkeypatch.chdir(shutil.copytree(trained, "home"))
    return Path.cwd()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def in_base64(home: Path) -> list[dict[str, str]]:
    root, paths = home / "photos/data/photos", pd.read_csv(home / "photos/validation.csv")["photo"]
    return [{"photo": base64.b64encode((root / path).read_bytes()).decode()} for path in paths]


def test_files_and_base64_have_the_same_scores(home: Path) -> None:
    scores = []
    for root in ("photos/data/photos", "photo=photos/data/photos"):
        ran = run("predict", "photos/validation.csv", "out", "--root", root)
        scores.append([json.loads(line) for line in ran.stdout.splitlines()])
    rows = in_base64(home)
    for records in (rows, pd.DataFrame(rows)):
        answer = mlflow.pyfunc.load_model("out/model").predict(pd.DataFrame(records))
        scores.append(answer.to_dict("records"))
    bare = [{"photo": base64.b64decode(row["photo"])} for row in rows]
    scores.append([{"label": one.tolist()} for one in Scorer.load("out").score(bare)["label"]])
    assert len(scores[0]) == 8
    assert all(each == scores[0] for each in scores)


def test_a_model_names_no_folder_and_reads_no_file_that_a_request_names(home: Path) -> None:
    known = json.loads(Path("out/model/data/columns.json").read_text("utf-8"))["columns"][0]
    assert known == {"name": "photo", "kind": "bytes", "declared": True, "reason": "declared"}
    assert str(home) not in Path("out/model/MLmodel").read_text("utf-8")
    model = mlflow.pyfunc.load_model("out/model")
    for name in ("abcd", "photos/data/photos/one11"):  # base64 may look so, too
        Path(name).write_bytes(b"\xff\x00")
        asked, meant = (
            model.predict(pd.DataFrame({"photo": [cell]})).to_dict("records")
            for cell in (name, base64.b64decode(name))
        )
        assert asked == meant
        assert asked != model.predict(pd.DataFrame({"photo": [b"\xff\x00"]})).to_dict("records")
    message = (
        r"^error: validation.csv, record 0 \(line 2\), column 'photo': expected bytes, in JSON"
    )
    ran = run("predict", "photos/validation.csv", "out")
    assert (ran.exit_code, ran.stderr[: len(message) - 3]) == (2, message[1:].replace("\\", ""))


def test_a_version_is_promoted_by_records_that_name_files(home: Path) -> None:
    run_training(home, resume=True, register="photos")
    assert run("sync", "out").exit_code == 0
    files = ["photos/validation.csv", "--root", "photos/data/photos"]
    ran = run("promote", "models:/photos/1", *files, "--alias", "champion")
    assert ran.exit_code == 0, ran.output
    assert ran.stdout.splitlines()[-1] == "set: @champion leads to version 1; it led nowhere"


def test_a_photo_that_changed_is_noticed_on_resume(home: Path) -> None:
    run_training(home, resume=True)  # it has finished
    (home / "photos/data/photos/train/3.raw").write_bytes(b"\0\0")
    with pytest.raises(ArtifactError, match="train records: digest") as error:
        run_training(home, resume=True)
    assert len(str(error.value).splitlines()) == 3


def test_a_photo_that_is_missing_begins_no_training_and_check_names_it(home: Path) -> None:
    root = home / "photos/data/photos"
    (root / "validation/3.raw").unlink()
    place = (
        r"validation.csv, record 3 \(line 5\), column 'photo': expected the path of a file under "
    )
    with pytest.raises(
        RecordError, match=rf"^{place}{root}, got 'validation/3.raw'; there is none"
    ):
        run_training(home, "new")
    assert not Path("new").exists()
    files = [f"photos/{name}" for name in ("config.json", "train.csv", "validation.csv")]
    ran = run("check", *files, "--records", "1")
    assert ran.exit_code == 2
    assert "got 'validation/3.raw'; there is none" in ran.stderr


def test_a_loader_may_ask_for_its_files(home: Path, proved_models: None) -> None:
    before = Scorer.load("out").score(in_base64(home))["label"]
    asking = {"import": "photo_loaders.Asking"}
    write_config(home / "photos", dataset__loader=asking, dataset__workers=2)
    run_training(home, "asking")
    np.testing.assert_array_equal(Scorer.load("asking").score(in_base64(home))["label"], before)
    (home / "photos/data/photos/train/3.raw").write_bytes(b"\0\0")
    with pytest.raises(ArtifactError, match="train records: digest"):
        run_training(home, "asking", resume=True)


def test_check_brings_sets_to_the_kinds_that_a_loader_asks_for(home: Path) -> None:
    write_config(home / "photos", dataset__loader={"import": "photo_loaders.Asking"})
    ran = run("check", "photos/config.json", "photos/train.csv", "photos/validation.csv")
    assert "photo  bytes  asked for by photo_loaders.Asking" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "photos/config.json: all is well"
