"""A training in small: what it shows of each stage, and where and how it stops.

What a user reads of each case is in ``golden_check/<case>.txt``.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small import TRAIN, VALIDATION, small_config

from barrage_mlflow.cli import explain_error
from barrage_mlflow.commands import check as command
from barrage_mlflow.config import read_config

EXAMPLES = Path(__file__).parents[2] / "examples"
GOLDEN = Path(__file__).with_name("golden_check")


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Temporary folders of the test, none of which may be left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    # TensorFlow deletes the code that it generates when the process ends.
    assert [path for path in folder.iterdir() if "__autograph" not in path.name] == []


DryRun = tuple[str, Exception | None]


def dry_run(config: Any, *arguments: Any, **options: Any) -> DryRun:
    return command.dry_run(read_config(config), *arguments, **options)


def shown(report: str, stopped_by: Exception | None) -> str:
    """What a user reads, but for losses, metrics and places that are not for a text to hold."""
    text = re.sub(r"(?<=\w )[\d.e-]+(?=  |$)", "#", report, flags=re.MULTILINE)
    if stopped_by is not None:
        error = re.sub(r"at \S*check_parts\.py:\d+", "at check_parts.py", explain_error(stopped_by))
        text += f"\n---\n{error}"
    return text + "\n"


def example(name: str) -> DryRun:
    folder = EXAMPLES / name
    return dry_run(folder / "config.json", folder / "train.csv", folder / "validation.csv")


def own(**parts: str) -> dict[str, Any]:
    """A config with components of the module ``check_parts``."""
    values = {f"dataset__{kind}": {"import": f"check_parts.{part}"} for kind, part in parts.items()}
    return small_config(**values)


def mse(name: str = "label", **values: Any) -> dict[str, Any]:
    return small_config(model__outputs=[{"name": name, "loss": {"import": "mse"}}], **values)


def coding() -> dict[str, Any]:
    """A config whose transformer learns the classes, and with them the size of the network."""
    config = own(transformer="Coding")
    config["model"]["network"]["params"]["layers"][2]["params"]["units"] = "{{classes}}"
    return config


def padding() -> DryRun:
    rows = [{"x": [1.0] * (i % 3 + 1), "label": i % 2} for i in range(12)]
    config = small_config(
        dataset__loader__params__inputs={"x": "x"},
        dataset__transformer={"import": "check_parts.Padding"},
    )
    config["model"]["network"]["params"]["layers"][0]["params"]["shape"] = [4]
    return dry_run(config, rows)


def classes(records: int) -> DryRun:
    """Records sorted by two classes; a third is that of one record: the second, or the first."""
    names = ["cat"] * 30 + ["dog"] * 29
    TRAIN.assign(label=["cat", "fox", *names[1:]]).to_csv("train.csv", index=False)
    TRAIN.assign(label=["fox", *names]).to_csv("validation.csv", index=False)
    return dry_run(coding(), "train.csv", "validation.csv", records=records)


def infinite_loss() -> DryRun:
    config = mse()
    config["model"]["network"]["params"]["layers"][2]["params"] = {"units": 1, "name": "label"}
    return dry_run(config, TRAIN.assign(label=1e30))


def unseeded() -> DryRun:
    config = small_config()
    del config["dataset"]["seed"]
    result = dry_run(config, TRAIN)
    assert result == dry_run(config, TRAIN)
    return result


def optimizer(**params: Any) -> DryRun:
    block = {"import": "Adam", "learning_rate": 0.001, "params": params}
    return dry_run(small_config(solver__optimizer=block), TRAIN)


def on_train(**values: Any) -> DryRun:
    return dry_run(small_config(**values), TRAIN)


WEIGHTS = "dataset__loader__params__sample_weights"
MISNAMED = {"dataset__loader": {"import": "check_parts.Mistaken"}}
CASES: dict[str, Callable[[], DryRun]] = {
    "iris": lambda: example("iris"),
    "penguins": lambda: example("penguins"),
    "no validation, no seed": unseeded,
    "fewer records than a batch": lambda: dry_run(small_config(), TRAIN[:5], VALIDATION[:3]),
    "lists of several lengths": padding,
    "input of another shape": lambda: on_train(
        dataset__loader__params__inputs={"x": ["a", "b", "a"]}
    ),
    "input of another name": lambda: on_train(dataset__loader__params__inputs={"xs": ["a", "b"]}),
    "text from the transformer": lambda: dry_run(own(transformer="ToText"), TRAIN.round(2)),
    "output that the loader misnames": lambda: dry_run(own(loader="Mistaken"), TRAIN),
    "output that the transformer drops": lambda: dry_run(own(transformer="Dropping"), TRAIN),
    "output that the network names": lambda: dry_run(
        mse("lable", **MISNAMED, model__network={"import": "check_parts.named_network"}), TRAIN
    ),
    "targets of another shape": lambda: dry_run(mse(), TRAIN),
    "weights of another shape": lambda: on_train(**{WEIGHTS: {"label": ["a", "b"]}}),
    "weight that is missing": lambda: dry_run(
        small_config(**{WEIGHTS: {"label": "w"}}), TRAIN.assign(w=[1.0, None] * 30)
    ),
    "train label out of range": lambda: dry_run(small_config(), TRAIN.assign(label=2)),
    "validation label out of range": lambda: dry_run(
        small_config(), TRAIN, VALIDATION.assign(label=2)
    ),
    "column that is missing": lambda: on_train(dataset__loader__params__outputs={"label": "lable"}),
    "column that validation lacks": lambda: dry_run(
        small_config(), TRAIN, VALIDATION.drop(columns="b")
    ),
    "transformer that forgets": lambda: dry_run(own(transformer="Forgetful"), TRAIN),
    "bug in fit": lambda: dry_run(own(transformer="Unfit"), TRAIN),
    "network that breaks": lambda: on_train(
        model__network={"import": "check_parts.network", "params": {"units": 3}}
    ),
    "postprocess that breaks": lambda: dry_run(own(transformer="Misspelt"), TRAIN),
    "loader without a score mode": lambda: dry_run(own(loader="Heedless"), TRAIN),
    "loss that is no number": infinite_loss,
    "params that the optimizer refuses": lambda: optimizer(clipnorm=1.0, clipvalue=1.0),
    "params that the optimizer finds late": lambda: optimizer(beta_1="much"),
    "augmentor that changes the shape": lambda: on_train(
        dataset__augmentor=[{"import": "check_parts.crop"}]
    ),
    "class that fit has not seen": lambda: classes(20),
    "class that fit has seen": lambda: classes(59),
}


@pytest.mark.parametrize("case", CASES)
def test_what_a_user_reads(case: str) -> None:
    text = shown(*CASES[case]())
    assert max(map(len, text.partition("---")[0].splitlines())) <= 80
    assert text == (GOLDEN / f"{case}.txt").read_text("utf-8")


def test_every_golden_file_is_of_a_case() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


def test_params_that_a_service_finds_late(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    def refuse(self: object, *arguments: object) -> None:
        raise TypeError("unsupported operand")

    monkeypatch.setattr(keras.callbacks.TensorBoard, "on_epoch_end", refuse)
    report, error = on_train()
    assert report.endswith("\nstopped at services and learning rate reducer")
    assert error is not None
    assert error.__notes__ == ["in TensorBoard; look at its params in the config"]
