"""Small models that are trained for real, to be served."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from bad_requests import FORMATS, Column, Model
from outside import run
from serving_parts import COLOURS, FINISHES, PHOTO, encode_photo

_GOOD = 20
"""Good records of each model."""


@dataclass(frozen=True)
class Project:
    """A model before it is trained.

    Attributes:
        loader: its import block.
        transformer: its import path.
        network: its import path.
        records: to train on.
        columns: what it reads.
        formats: the formats in which the server takes good records of it.
    """

    loader: dict[str, Any]
    transformer: str
    network: str
    records: pd.DataFrame
    columns: tuple[Column, ...]
    formats: tuple[str, ...]


def _scalars() -> Project:
    """A column of each plain type, and a transformer that takes no word that it does not know."""
    generator = np.random.default_rng(1)
    count = 64
    weight = generator.normal(size=count)
    weight[::5] = np.nan
    records = {
        "height": generator.normal(size=count),
        "count": generator.integers(0, 200, count),
        "ready": generator.random(count) < 0.5,
        "colour": generator.choice(COLOURS, count),
        "finish": generator.choice(np.array([None, *FINISHES]), count),
        "weight": weight,
        "label": generator.integers(0, 2, count),
    }
    inputs = {name: name for name in ("ready", "colour", "finish", "weight")}
    params = {"inputs": {"numbers": ["height", "count"], **inputs}, "outputs": {"label": "label"}}
    columns = (
        Column("height", "number"),
        Column("count", "integer"),
        Column("ready", "boolean"),
        Column("colour", "text"),
        Column("finish", "text", optional=True),
        Column("weight", "number", optional=True),
    )
    return Project(
        {"import": "KeySelector", "params": params},
        "serving_parts.StrictTransformer",
        "serving_parts.scalars_network",
        pd.DataFrame(records),
        columns,
        tuple(FORMATS),
    )


def _lists() -> Project:
    """Lists, images as lists, PNG files in base64 and bytes, by a loader of its own."""
    generator = np.random.default_rng(2)
    count = 64
    photos = generator.integers(0, 256, (count, PHOTO, PHOTO), dtype=np.uint8)
    records = {
        "level": generator.normal(size=count),
        "series": generator.normal(size=(count, 5)).tolist(),
        "image": generator.integers(0, 17, (count, 8, 8)).tolist(),
        "photo": [encode_photo(photo) for photo in photos],
        "raw": [generator.bytes(6) for _ in range(count)],
        "label": generator.integers(0, 2, count),
    }
    columns = (
        Column("level", "number"),
        Column("series", "list"),
        Column("image", "image"),
        Column("photo", "photo"),
        Column("raw", "bytes"),
    )
    return Project(
        {"import": "serving_parts.ListsLoader"},
        "IdentityTransformer",
        "serving_parts.lists_network",
        pd.DataFrame(records),
        columns,
        ("dataframe_split", "dataframe_records"),
    )


PROJECTS = {"scalars": _scalars, "lists": _lists}


def train(folder: Path, name: str) -> Model:
    """Train a model into a folder, and score some records offline."""
    from barrage_mlflow import Scorer
    from barrage_mlflow.dataset import Records
    from barrage_mlflow.scoring.scores import to_frame

    project, home = PROJECTS[name](), folder / name
    _train(home, project)
    few = Records.read(home / "train.parquet")[:_GOOD]
    names = [column.name for column in project.columns]
    records = [{name: _plain(record[name]) for name in names} for record in few]
    scores = to_frame(Scorer.load(home / "out").score(few)).to_dict("records")
    packaged = home / "out" / "model"
    return Model(name, packaged, project.columns, project.formats, records, scores)


def _train(home: Path, project: Project) -> None:
    home.mkdir()
    shutil.copy(Path(__file__).with_name("serving_parts.py"), home)
    loss = {"import": "sparse_categorical_crossentropy"}
    config = {
        "dataset": {
            "loader": project.loader,
            "transformer": {"import": project.transformer},
            "seed": 7,
        },
        "model": {
            "network": {"import": project.network},
            "outputs": [{"name": "label", "loss": loss}],
        },
        "solver": {"batch_size": 16, "epochs": 2},
    }
    (home / "config.json").write_text(json.dumps(config), "utf-8")
    project.records.to_parquet(home / "train.parquet")
    files = ["config.json", "train.parquet", "train.parquet"]
    command = [sys.executable, "-m", "barrage_mlflow", "train", *files, "--offline"]
    run([*command, "--artifact-dir", "out"], home)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and value != value else value
