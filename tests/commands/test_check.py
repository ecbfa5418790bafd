"""A training in small: what it shows of each stage, and where and how it stops."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

import pytest
from small import small_config, small_frame

from barrage_mlflow.cli import explain_error
from barrage_mlflow.commands.check import DryRun, dry_run
from barrage_mlflow.config import add_project_path, read_config, resolve_config

EXAMPLES = Path(__file__).parents[2] / "examples"
TRAIN, VALIDATION = small_frame(60, seed=0), small_frame(20, seed=1)
OWN = '''
import json
from pathlib import Path

import keras
import numpy as np

from barrage_mlflow import IdentityTransformer, KeySelector, RecordLoader


class ToText(IdentityTransformer):
    def transform(self, data_record):
        x, *rest = data_record
        return ({"x": x["x"].astype(str)}, *rest)


class Forgetful(IdentityTransformer):
    mean = 0.0

    def fit(self, records):
        self.mean = float(records["a"].mean())

    def transform(self, data_record):
        x, *rest = data_record
        return ({"x": x["x"] - self.mean}, *rest)


class Dropping(IdentityTransformer):
    def transform(self, data_record):
        x, *rest = data_record
        return (x, {}) if rest else (x,)


class Misspelt(IdentityTransformer):
    def postprocess(self, score):
        return {"label": score["lable"]}


class Coding(IdentityTransformer):
    network_param_names = ("classes",)

    def fit(self, records):
        self._set(sorted(set(records.values("label"))))

    def _set(self, names):
        if len(names) < 2:
            raise ValueError("all records are of one class")
        self.names = names
        self.network_params = {"classes": len(names)}

    def transform(self, data_record):
        x, *rest = data_record
        if not rest:
            return (x,)
        return x, {"label": np.array(self.names.index(rest[0]["label"].item()))}

    def save(self, path):
        Path(path, "names.json").write_text(json.dumps(self.names))

    def load(self, path):
        self._set(json.loads(Path(path, "names.json").read_text()))


class Padding(IdentityTransformer):
    def transform(self, data_record):
        x, *rest = data_record
        return ({"x": np.pad(x["x"], (0, 4 - len(x["x"])))}, *rest)


class Heedless(RecordLoader):
    """Gives targets also in SCORE mode."""

    def load(self, record):
        return {"x": np.array([record["a"], record["b"]])}, {"label": np.array(record["label"])}


class Mistaken(RecordLoader):
    def load(self, record):
        x = {"x": np.array([record["a"], record["b"]])}
        return (x,) if self.mode.value == "score" else (x, {"lable": np.array(record["label"])})


def named_network():
    x = keras.Input((2,), name="x")
    return keras.Model(x, keras.layers.Dense(2, name="label")(x))


def network(units):
    raise RuntimeError("no network today")


def crop(data_record):
    x, y = data_record
    return {"x": x["x"][:1]}, y
'''


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Temporary folders of the test, none of which may be left."""
    (tmp_path / "own.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


def run(config: dict[str, Any], *records: Any, **options: Any) -> DryRun:
    return dry_run(resolve_config(config), *records, **options)


def shown(result: DryRun) -> str:
    """What a user reads, but for losses and metrics, which are not for a text to hold."""
    numbers = re.sub(r"(?<=\w )[\d.e-]+(?=  |$)", "#", result.report, flags=re.MULTILINE)
    if result.error is None:
        return numbers + "\n"
    error = re.sub(r"at \S*own\.py:\d+", "at own.py", explain_error(result.error))
    return f"{numbers}\n---\n{error}\n"


def text(indented: str) -> str:
    return textwrap.dedent(indented).lstrip("\n")


def example(name: str) -> dict[str, Any]:
    document = read_config(EXAMPLES / name / "config.json")
    add_project_path(document)
    return resolve_config(document)


# What is well ------------------------------------------------------------------------------


def test_iris():
    folder = EXAMPLES / "iris"
    result = dry_run(example("iris"), folder / "train.csv", folder / "validation.csv")
    assert shown(result) == text(
        """
        train       all 105 records of train.csv
        validation  all 45 records of validation.csv

                   loader              transformer         network
        inputs
          flower   (batch, 4) float64  (batch, 4) float64  (batch, 4) float32
        outputs
          species  (batch) int64       (batch) int64       (batch, 3) float32

                   postprocess
        scores
          species  (batch, 3) float32

        train batch       16 records:  loss #  accuracy #
        validation batch  16 records:  loss #  accuracy #
        score batch       16 records:  species

        feeding  by columns; made once and kept in memory
        """
    )


def test_penguins_in_eighty_columns():
    folder = EXAMPLES / "penguins"
    result = dry_run(example("penguins"), folder / "train.csv", folder / "validation.csv")
    assert max(map(len, result.report.splitlines())) <= 80
    assert re.sub(r"#\s+", "#  ", shown(result)) == text(
        """
        train       all 241 records of train.csv
        validation  all 103 records of validation.csv

                        loader              transformer         network
        inputs
          measurements  (batch, 4) float64  (batch, 4) float32  (batch, 4) float32
          island        (batch) str         (batch) int32       (batch) int32
          sex           (batch) str         (batch) int32       (batch) int32
          missing       -                   (batch, 4) float32  (batch, 4) float32
        outputs
          species       (batch) str         (batch) int32       (batch, 3) float32
          body_mass     (batch) float64     (batch) float32     (batch, 1) float32
        sample weights
          body_mass     (batch) float64     (batch) float64     (batch) float32

                               postprocess
        scores
          species              (batch) str
          species_probability  (batch) float64
          body_mass_g          (batch) float64

        train batch       32 records:  loss #  species_loss #  body_mass_loss #  \
species_accuracy #  body_mass_mae #  validation batch  32 records:  loss #  species_loss #  \
body_mass_loss #  species_accuracy #  body_mass_mae #  score batch       32 records:  species  \
species_probability  body_mass_g

        feeding  by columns; made once and kept in memory; then augmented in every
                   epoch; on the training thread
                 if it is slow: set dataset.workers, up to one for each core, to have
                   processes make records ahead of the training
        """
    )


def test_train_records_stand_in_for_validation_and_a_seed_may_be_missing():
    config = small_config()
    del config["dataset"]["seed"]
    first, second = run(config, TRAIN), run(config, TRAIN)
    assert first.report == second.report
    assert shown(first) == text(
        """
        train       all 60 records of train
        validation  none given: the train records stand in

                 loader              transformer         network
        inputs
          x      (batch, 2) float64  (batch, 2) float64  (batch, 2) float32
        outputs
          label  (batch) int64       (batch) int64       (batch, 2) float32

                 postprocess
        scores
          label  (batch, 2) float32

        train batch       16 records:  loss #  accuracy #
        validation batch  16 records:  loss #  accuracy #
        score batch       16 records:  label

        feeding  by columns; made once and kept in memory
        """
    )


def test_a_file_smaller_than_a_batch_makes_a_smaller_batch():
    result = run(small_config(), TRAIN[:5], VALIDATION[:3])
    assert shown(result).splitlines()[-5:-2] == [
        "train batch       5 records:  loss #  accuracy #",
        "validation batch  3 records:  loss #  accuracy #",
        "score batch       5 records:  label",
    ]


def test_lists_that_differ_in_length_are_shown_as_any():
    rows = [{"x": [1.0] * (i % 3 + 1), "label": i % 2} for i in range(12)]
    config = small_config(
        dataset__loader__params__inputs={"x": "x"}, dataset__transformer={"import": "own.Padding"}
    )
    config["model"]["network"]["params"]["layers"][0]["params"]["shape"] = [4]
    assert run(config, rows).report.splitlines()[3:6] == [
        "         loader                transformer         network",
        "inputs",
        "  x      (batch, any) float64  (batch, 4) float64  (batch, 4) float32",
    ]


def test_nothing_is_left_on_disk_and_nothing_is_tracked(tmp_path: Path):
    TRAIN.to_csv("train.csv", index=False)
    before = {path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts}
    assert run(small_config(), "train.csv").error is None
    assert {path for path in tmp_path.rglob("*") if "__pycache__" not in path.parts} == before


def test_mlflow_is_not_loaded(tmp_path: Path):
    TRAIN.to_csv("train.csv", index=False)
    Path("config.json").write_text(json.dumps(small_config()))
    code = """
    import sys
    from barrage_mlflow.config import read_config, resolve_config
    from barrage_mlflow.commands.check import dry_run
    error = dry_run(resolve_config(read_config("config.json")), "train.csv").error
    print(error, "mlflow" in sys.modules)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True
    )
    assert done.stdout == "None False\n", done.stderr


# Where shapes and names part ways ------------------------------------------------------------


def test_an_input_of_another_shape():
    config = example("iris")
    inputs = config["dataset"]["loader"]["params"]["inputs"]
    inputs["flower"] = [*inputs["flower"], "sepal_width"]
    result = dry_run(config, EXAMPLES / "iris" / "train.csv")
    assert shown(result) == text(
        """
        train       all 105 records of train.csv
        validation  none given: the train records stand in

                   loader              transformer         network
        inputs
        > flower   (batch, 5) float64  (batch, 5) float64  (batch, 4) float32
        outputs
          species  (batch) int64       (batch) int64       (batch, 3) float32

        stopped at the network
        ---
        error: train.csv, record 0 (line 2): input 'flower', columns 'sepal_length', \
'sepal_width', 'petal_length', 'petal_width', 'sepal_width': expected the shape (batch, 4), got \
(batch, 5) (stage feed, component KeySelector)
        """
    )


def test_an_input_of_another_name():
    result = run(small_config(dataset__loader__params__inputs={"xs": ["a", "b"]}), TRAIN)
    assert shown(result) == text(
        """
        train       all 60 records of train
        validation  none given: the train records stand in

                 loader              transformer         network
        inputs
        > xs     (batch, 2) float64  (batch, 2) float64  -
        > x      -                   -                   (batch, 2) float32
        outputs
          label  (batch) int64       (batch) int64       (batch, 2) float32

        stopped at the network
        ---
        error: the inputs do not match: KeySelector gives xs; the network takes x; did you mean \
'x'? (stage feed)
        """
    )


def test_a_transformer_that_makes_text():
    result = run(small_config(dataset__transformer={"import": "own.ToText"}), TRAIN.round(2))
    assert shown(result) == text(
        """
        train       all 60 records of train
        validation  none given: the train records stand in

                 loader              transformer     network
        inputs
        > x      (batch, 2) float64  (batch, 2) str  (batch, 2) float32
        outputs
          label  (batch) int64       (batch) int64   (batch, 2) float32

        stopped at the network
        ---
        error: train, record 0: input 'x', columns 'a', 'b': expected a number, got '0.13' (str) \
(stage feed, component own.ToText)
        """
    )


def test_an_output_that_the_loader_calls_otherwise():
    result = run(small_config(dataset__loader={"import": "own.Mistaken"}), TRAIN)
    assert shown(result) == text(
        """
        train       all 60 records of train
        validation  none given: the train records stand in

                 loader              transformer         network
        inputs
          x      (batch, 2) float64  (batch, 2) float64  (batch, 2) float32
        outputs
        > lable  (batch) int64       (batch) int64       -
        > label  -                   -                   (batch, 2) float32

        stopped at losses, metrics, monitors and optimizer
        ---
        error: $.dataset: expected targets for the outputs 'label' from loader and transformer, \
got 'lable'; did you mean 'label'?
        """
    )


def test_an_output_that_the_transformer_drops():
    result = run(small_config(dataset__transformer={"import": "own.Dropping"}), TRAIN)
    assert shown(result) == text(
        """
        train       all 60 records of train
        validation  none given: the train records stand in

                 loader              transformer         network
        inputs
          x      (batch, 2) float64  (batch, 2) float64  (batch, 2) float32
        outputs
        > label  (batch) int64       -                   (batch, 2) float32

        stopped at losses, metrics, monitors and optimizer
        ---
        error: $.dataset: expected targets for the outputs 'label' from loader and transformer, \
got none; name the targets after the outputs
        """
    )


def test_targets_that_the_loss_cannot_take():
    outputs = [{"name": "label", "loss": {"import": "mse"}}]
    assert shown(run(small_config(model__outputs=outputs), TRAIN)) == text(
        """
        train       all 60 records of train
        validation  none given: the train records stand in

                 loader              transformer         network
        inputs
          x      (batch, 2) float64  (batch, 2) float64  (batch, 2) float32
        outputs
        > label  (batch) int64       (batch) int64       (batch, 2) float32

        stopped at losses, metrics, monitors and optimizer
        ---
        error: $.model.outputs[0].loss: expected targets that MeanSquaredError can compare with \
the network's output 'label' (batch, 2) float32, got (batch) int64 from loader and transformer \
(the shapes differ); make the targets the shape of the output, or choose another loss or metric
        """
    )


def test_an_output_that_the_network_calls_otherwise():
    outputs = [{"name": "lable", "loss": {"import": "mse"}}]
    config = small_config(
        dataset__loader={"import": "own.Mistaken"},
        model__network={"import": "own.named_network"},
        model__outputs=outputs,
    )
    assert shown(run(config, TRAIN)) == text(
        """
        train       all 60 records of train
        validation  none given: the train records stand in

                 loader              transformer         network
        inputs
          x      (batch, 2) float64  (batch, 2) float64  (batch, 2) float32
        outputs
        > lable  (batch) int64       (batch) int64       -
        > label  -                   -                   (batch, 2) float32

        stopped at losses, metrics, monitors and optimizer
        ---
        $.model.outputs[0].name: expected an output of the network ('label'), got 'lable'; did you \
mean 'label'?
        $.model.outputs: expected an entry for each output of the network ('label'), got none for \
'label'; add it, or build the network without it
        """
    )


def test_sample_weights_of_another_shape():
    weights = {"label": ["a", "b"]}
    result = run(small_config(dataset__loader__params__sample_weights=weights), TRAIN)
    assert shown(result) == text(
        """
        train       all 60 records of train
        validation  none given: the train records stand in

                 loader              transformer         network
        inputs
          x      (batch, 2) float64  (batch, 2) float64  (batch, 2) float32
        outputs
          label  (batch) int64       (batch) int64       (batch, 2) float32
        sample weights
        > label  (batch, 2) float64  (batch, 2) float64

        stopped at losses, metrics, monitors and optimizer
        ---
        error: $.model.outputs[0]: expected sample weights of 'label' of shape (16,), got (16, 2); \
give one weight per record
        """
    )


def test_a_weight_that_is_missing():
    weights = {"label": "w"}
    config = small_config(dataset__loader__params__sample_weights=weights)
    result = run(config, TRAIN.assign(w=[1.0, None] * 30))
    assert shown(result).splitlines()[8:] == [
        "sample weights",
        "> label  (batch) float64     (batch) float64",
        "",
        "stopped at the network",
        "---",
        "error: train, record 1: sample weight 'label', column 'w': expected a number, got a "
        "missing value (NaN) (stage feed, component KeySelector)",
    ]


RANGE = (
    "error: $.model.outputs[0]: expected class labels of 'label' that are whole numbers from 0 to "
    "1, got 2; encode them in the transformer, or give the output a unit for each class"
)


def test_a_train_label_out_of_range():
    assert shown(run(small_config(), TRAIN.assign(label=2))).splitlines()[6:] == [
        "outputs",
        "> label  (batch) int64       (batch) int64       (batch, 2) float32",
        "",
        "stopped at losses, metrics, monitors and optimizer",
        "---",
        RANGE,
    ]


def test_a_validation_label_out_of_range():
    result = run(small_config(), TRAIN, VALIDATION.assign(label=2))
    assert shown(result).splitlines()[6:] == [
        "outputs",
        "> label  (batch) int64       (batch) int64       (batch, 2) float32",
        "",
        "train batch       16 records:  loss #  accuracy #",
        "",
        "stopped at the validation batch",
        "---",
        RANGE,
    ]


# Where a component breaks ----------------------------------------------------------------------


def test_a_column_that_is_missing_is_named_with_the_nearest():
    result = run(small_config(dataset__loader__params__outputs={"label": "lable"}), TRAIN)
    assert shown(result) == text(
        """
        train       all 60 records of train
        validation  none given: the train records stand in

        stopped at the loader
        ---
        error: train: no column 'lable'; did you mean 'label'? The columns are 'a', 'b', 'label'
        in train, record 0, stage load, component KeySelector
        """
    )


def test_a_column_that_validation_lacks():
    result = run(small_config(), TRAIN, VALIDATION.drop(columns="b"))
    assert shown(result).splitlines()[9:] == [
        "train batch       16 records:  loss #  accuracy #",
        "",
        "stopped at the validation batch",
        "---",
        "error: validation: no column 'b'; the columns are 'a', 'label'",
        "in validation, record 0, stage load, component KeySelector",
    ]


def test_a_transformer_that_forgets():
    result = run(small_config(dataset__transformer={"import": "own.Forgetful"}), TRAIN)
    assert shown(result) == text(
        """
        train       all 60 records of train
        validation  none given: the train records stand in

                 loader
        inputs
          x      (batch, 2) float64
        outputs
          label  (batch) int64

        stopped at the transformer
        ---
        error: own.Forgetful: expected transform to give the same arrays after save and load, got \
others; save must write all that fit learnt, and load must restore it
        """
    )


def test_a_network_that_cannot_be_built():
    config = small_config(model__network={"import": "own.network", "params": {"units": 3}})
    assert shown(run(config, TRAIN)) == text(
        """
        train       all 60 records of train
        validation  none given: the train records stand in

                 loader              transformer
        inputs
          x      (batch, 2) float64  (batch, 2) float64
        outputs
          label  (batch) int64       (batch) int64

        stopped at the network
        ---
        error: RuntimeError: no network today
        in $.model.network, import 'own.network'
          at own.py in network
          (set BARRAGE_TRACEBACK=1 to see the whole traceback)
        """
    )


def test_a_postprocess_that_breaks():
    result = run(small_config(dataset__transformer={"import": "own.Misspelt"}), TRAIN)
    assert shown(result).splitlines()[9:] == [
        "train batch       16 records:  loss #  accuracy #",
        "validation batch  16 records:  loss #  accuracy #",
        "",
        "stopped at the score batch",
        "---",
        "error: KeyError: 'lable'",
        "in train, record 0, stage postprocess, component own.Misspelt",
        "found before training, on scores of the untrained network",
        "  at own.py in postprocess",
        "  (set BARRAGE_TRACEBACK=1 to see the whole traceback)",
    ]


def test_a_loader_that_does_not_heed_its_mode():
    result = run(small_config(dataset__loader={"import": "own.Heedless"}), TRAIN)
    assert shown(result).splitlines()[-4:] == [
        "stopped at the score batch",
        "---",
        "error: own.Heedless.load: expected (x,), got a tuple of length 2",
        "in train, record 0, stage load, component own.Heedless",
    ]


def test_an_augmentor_that_changes_the_shape():
    result = run(small_config(dataset__augmentor=[{"import": "own.crop"}]), TRAIN)
    lines = shown(result).splitlines()
    assert re.sub("record [0-9]+", "record N", "\n".join(lines[9:])) == (
        "stopped at the train batch\n---\n"
        "error: train, record N: input 'x', columns 'a', 'b': expected the shape (batch, 2), got "
        "(batch, 1) (stage feed, component KeySelector)\n"
        "what was fed had come through the augmentors: own.crop"
    )


def test_a_loss_that_is_no_number():
    outputs = [{"name": "label", "loss": {"import": "mse"}}]
    config = small_config(model__outputs=outputs)
    config["model"]["network"]["params"]["layers"][2]["params"] = {"units": 1, "name": "label"}
    assert shown(run(config, TRAIN.assign(label=1e30))).splitlines()[9:] == [
        "stopped at the train batch",
        "---",
        "error: epoch 1, batch 1: expected a finite loss, got inf; no update was made yet, so look "
        "at the inputs, targets and sample weights of that batch, and whether the network's last "
        "activation suits the loss",
    ]


def test_params_that_the_optimizer_turns_down():
    result = dry_run(with_params("optimizer", clipnorm=1.0, clipvalue=1.0), TRAIN)
    assert shown(result).splitlines()[9:] == [
        "stopped at losses, metrics, monitors and optimizer",
        "---",
        "error: $.solver.optimizer: keras.optimizers.Adam turned its params down: Only one of "
        "`clipnorm`, `clipvalue` and `global_clipnorm` can be set. Received: clipnorm=1.0, "
        "clipvalue=1.0, global_clipnorm=None",
    ]


def test_params_that_the_optimizer_finds_late():
    result = dry_run(with_params("optimizer", beta_1="much"), TRAIN)
    assert shown(result).splitlines()[9:] == [
        "stopped at the train batch",
        "---",
        "error: TypeError: unsupported operand type(s) for -: 'int' and 'str'",
        "in Adam; look at its params in the config",
        "  (set BARRAGE_TRACEBACK=1 to see the whole traceback)",
    ]


def test_params_that_a_service_finds_late():
    result = dry_run(with_params("tensorboard", histogram_freq="often"), TRAIN)
    assert shown(result).splitlines()[9:] == [
        "train batch       16 records:  loss #  accuracy #",
        "validation batch  16 records:  loss #  accuracy #",
        "",
        "stopped at services and learning rate reducer",
        "---",
        "error: TypeError: unsupported operand type(s) for %: 'int' and 'str'",
        "in TensorBoard; look at its params in the config",
        "  (set BARRAGE_TRACEBACK=1 to see the whole traceback)",
    ]


def with_params(block: str, **params: Any) -> dict[str, Any]:
    """A resolved config with params that resolving itself might refuse."""
    config = resolve_config(small_config())
    if block == "optimizer":
        config["solver"]["optimizer"]["params"] = params
    else:
        config["services"][block] = params
    return config


# The first records of a file ---------------------------------------------------------------------


def test_a_file_that_is_not_there_or_holds_nothing():
    Path("empty.csv").touch()
    Path("header.csv").write_text("a,b,label\n")
    assert shown(run(small_config(), "empty.csv")) == text(
        """
        stopped at the train records
        ---
        error: empty.csv is empty; expected CSV with a header and one record or more
        """
    )
    assert shown(run(small_config(), TRAIN, "header.csv")) == text(
        """
        train       all 60 records of train

        stopped at the validation records
        ---
        error: header.csv holds no records; give a file with at least one record
        """
    )
    assert shown(run(small_config(), TRAIN[:0])) == text(
        """
        stopped at the train records
        ---
        error: train holds no records; give at least one
        """
    )
    assert "error: gone.csv: no such file; expected a CSV" in shown(run(small_config(), "gone.csv"))


def coding() -> dict[str, Any]:
    """A config whose transformer learns the classes, and with them the size of the network."""
    config = small_config(dataset__transformer={"import": "own.Coding"})
    config["model"]["network"]["params"]["layers"][2]["params"]["units"] = "{{classes}}"
    return config


def test_what_fit_may_have_missed_is_said():
    classes = ["cat", "dog"] * 10 + ["fox"] * 40
    TRAIN.assign(label=classes).to_csv("train.csv", index=False)
    TRAIN.assign(label=classes)[::-1].to_csv("validation.csv", index=False)
    result = run(coding(), "train.csv", "validation.csv", records=20)
    assert shown(result) == text(
        """
        train       the first 20 records of train.csv
        validation  the first 20 records of validation.csv

                 loader              transformer         network
        inputs
          x      (batch, 2) float64  (batch, 2) float64  (batch, 2) float32
        outputs
          label  (batch) str         (batch) int64       (batch, 2) float32

        train batch       16 records:  loss #  accuracy #

        stopped at the validation batch
        ---
        error: ValueError: 'fox' is not in list
        in validation.csv, record 0 (line 2), stage transform, component own.Coding
        column 'label' holds 'fox'
        fit saw the first 20 records of train.csv alone; if it needs more of them, try --records N \
with N above 20
          at own.py in transform
          (set BARRAGE_TRACEBACK=1 to see the whole traceback)
        """
    )
    assert run(coding(), "train.csv", "validation.csv", records=21).error is None


def test_a_fit_that_may_have_seen_too_little():
    TRAIN.assign(label=["cat"] * 30 + ["dog"] * 30).to_csv("train.csv", index=False)
    assert shown(run(coding(), "train.csv", records=20)).splitlines()[9:-1] == [
        "stopped at the transformer",
        "---",
        "error: ValueError: all records are of one class",
        "in the first 20 records of train.csv, stage fit, component own.Coding",
        "fit saw the first 20 records of train.csv alone; if it needs more of them, try "
        "--records N with N above 20",
        "  at own.py in fit",
        "  at own.py in _set",
    ]
    assert run(coding(), "train.csv").error is None


@pytest.mark.parametrize("records", [60, 61])
def test_there_is_no_such_hint_where_fit_has_seen_all(records):
    TRAIN.assign(label=["cat", "dog"] * 30).to_csv("train.csv", index=False)
    VALIDATION.assign(label="fox").to_csv("validation.csv", index=False)
    result = run(coding(), "train.csv", "validation.csv", records=records)
    assert result.error.__notes__ == [
        "in validation.csv, record 0 (line 2), stage transform, component own.Coding",
        "column 'label' holds 'fox'",
    ]


def test_there_is_no_such_hint_where_loading_fails():
    TRAIN.to_csv("train.csv", index=False)
    result = run(small_config(), "train.csv", VALIDATION.drop(columns="b"), records=20)
    assert result.error.__notes__ == ["in validation, record 0, stage load, component KeySelector"]
