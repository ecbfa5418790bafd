"""Files scored by real models: the same scores in every way, in a process of its own too."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from small import small_config, small_frame
from stub_scorer import score_file

from barrage_mlflow import BarrageModel, RecordError, Scorer, train
from barrage_mlflow.pyfunc import load_scorer

pytestmark = pytest.mark.usefixtures("small_parts")

POSTCODES = '''
import numpy as np
from barrage_mlflow import RecordLoader, RecordMode

class Loader(RecordLoader):
    """Reads the letters of a postcode, and a number."""

    def load(self, record):
        letters = [float(ord(letter)) for letter in (record["postcode"] or "").ljust(5)]
        x = {"x": np.array([record["a"], *letters], np.float32)}
        return (x,) if self.mode is RecordMode.SCORE else (x, {"label": np.array(record["label"])})
'''


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The artifact folder of a model that reads postcodes, and its URI."""
    home = tmp_path_factory.mktemp("trained")
    (home / "postcodes.py").write_text(POSTCODES)
    config = small_config(solver__epochs=1, dataset__loader={"import": "postcodes.Loader"})
    layers = config["model"]["network"]["params"]["layers"]
    layers[0]["params"]["shape"] = [6]
    frame = small_frame(40)
    frame["postcode"] = ["K1A", *(f"{number:05}" for number in range(1, 40))]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.syspath_prepend(home)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
        result = train(config, frame, frame, artifact_dir=home / "out", register="postcodes")
        mlflow.MlflowClient().set_registered_model_alias("postcodes", "champion", "1")
        yield result.artifact_dir, "models:/postcodes@champion"


def write_postcodes(records: int = 700) -> pd.DataFrame:
    """Records of which no postcode holds a letter."""
    frame = small_frame(records, seed=3).drop(columns="label")
    frame["postcode"] = [f"{number:05}" for number in range(records)]
    frame.to_csv("records.csv", index=False)
    return frame


def test_all_ways_in_give_the_same_scores(
    trained: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, uri = trained
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder.parent}/mlflow.db")
    frame = write_postcodes()
    frame.to_json("records.jsonl", orient="records", lines=True, double_precision=15)
    frame.to_parquet("records.parquet")
    scorer = Scorer.load(folder)
    expected = scorer.score(frame)["label"]
    np.testing.assert_array_equal(scorer.score("records.csv")["label"], expected)
    predicted = BarrageModel(folder).predict("records.csv")
    np.testing.assert_array_equal([score["label"] for score in predicted], expected)
    for kind in ("csv", "jsonl", "parquet"):
        path = f"records.{kind}"
        score_file(load_scorer(uri), path, "scores.parquet", ["postcode"], batch_size=256)
        table = pq.read_table("scores.parquet")
        np.testing.assert_array_equal(np.array(table["label"].to_pylist(), np.float32), expected)
        assert table["postcode"].to_pylist() == frame["postcode"].tolist()


def copy_elsewhere(folder: Path) -> Scorer:
    """The scorer of a copy of a model whose engine is another version."""
    shutil.copytree(folder / "model", "other")
    with Path("other/code/barrage_mlflow/errors.py").open("a") as module:
        module.write("# another version of the engine\n")
    scorer = Scorer.load("other")
    assert type(scorer) is not Scorer
    return scorer


def test_a_model_that_has_a_process_of_its_own_scores_files_too(
    trained: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barrage_mlflow.scoring.scorer._PIECE", 8)
    frame = write_postcodes(70)
    expected = Scorer.load(trained[0]).score(frame)["label"]
    scorer = copy_elsewhere(trained[0])
    np.testing.assert_array_equal(scorer.score("records.csv")["label"], expected)
    done = score_file(scorer, "records.csv", "scores.parquet", ["postcode"], batch_size=4)
    assert done.records == 70
    scores = np.array(pq.read_table("scores.parquet")["label"].to_pylist(), np.float32)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    frame["a"] = ["many" if row == 9 else cell for row, cell in enumerate(frame["a"])]
    frame.to_csv("records.csv", index=False)
    with pytest.raises(RecordError, match=r"record 1, column 'a': expected a number, got") as bad:
        score_file(scorer, "records.csv", "again.csv", batch_size=4)
    assert bad.value.__notes__[0] == "records are counted from records.csv, record 8 (line 10)"
