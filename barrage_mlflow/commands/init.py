"""Writes a config for data: what its columns are meant as, and a network that fits the target."""

from __future__ import annotations

import copy
import json
import math
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from barrage_mlflow.commands.check_report import aligned
from barrage_mlflow.config import read_config
from barrage_mlflow.config.editor_schema import write_schema
from barrage_mlflow.config.features import NEXT
from barrage_mlflow.dataset import Records
from barrage_mlflow.dataset.features.infer import Guess, infer_columns
from barrage_mlflow.dataset.records.column_kinds import Schema
from barrage_mlflow.dataset.records.raw import RawRecords
from barrage_mlflow.errors import ArtifactError, RecordError
from barrage_mlflow.files import written_whole

_LOSSES = {
    "number": ("mse", ["mae"]),
    "series": ("mse", ["mae"]),
    "category": ("sparse_categorical_crossentropy", ["accuracy"]),
    "truth": ("binary_crossentropy", ["accuracy", "AUC"]),
    "multi_category": ("binary_crossentropy", ["AUC"]),
}
"""By a target's type, its loss and metrics."""
_RARE = 0.05
"""A class of a smaller share is worth class weights."""
_LEFT_OUT = "left out"
_SCHEMA = "./schema.json"
_IMAGE = (96, 96)
"""Height and width of images that are larger, or of several sizes."""
_LOOKED_AT = 200
"""Images that are opened, at most."""
_SHARE = 0.15
"""Of the records, to validate."""
_DATED = 1000
"""Records of which it is found out how dates are written."""
_FLAT = {"encoders": {"series": {"encoder": "flat"}}}
_PLAIN = re.compile(r"[A-Za-z_](?:[\w./ -]*\w)?")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "none"}


@dataclass(frozen=True)
class Start:
    """A config to begin with, and how it came about.

    Attributes:
        config: as JSON values.
        columns: name, kind, feature or target, and the reason, for each column.
        hints: what else is worth knowing, in lines to read.
        validation: a share of the records that does to validate; of windows, of their moments.
    """

    config: dict[str, Any]
    columns: list[tuple[str, str, str, str]]
    hints: list[str]
    validation: float
    HEADS = ("column", "kind", "feature", "why")

    @property
    def table(self) -> str:
        """The columns, in lines to read."""
        return "\n".join(aligned([self.HEADS, *self.columns]))

    @property
    def yaml(self) -> str:
        """The config as YAML, with the reason beside each feature, also where one is left out."""
        config = copy.deepcopy(self.config)
        params = config["dataset"]["loader"]["params"]
        features, params["features"] = params["features"], {}
        lines = ["features:"]
        for name, _, _, reason in self.columns:
            if name in features:
                lines.append(f"  {_in_line(name)}: {_in_line(features[name])}  # {reason}")
            elif name not in params["targets"]:
                lines.append(f"  # {_in_line(name)} is {_LEFT_OUT}: {reason}")
        before, _, after = _dump(config).partition("features: {}")
        indent = before.rpartition("\n")[2]
        return before + f"\n{indent}".join(lines) + after


def start_config(
    data: Any,
    targets: Sequence[str],
    folder: Path | None = None,
    windows: Mapping[str, Any] | None = None,
) -> Start:
    """Look at data, and make a config that trains on it.

    Args:
        data: whatever :meth:`Records.read` takes; or a folder with a folder of images for each
            class, of which ``path`` and ``label`` are the columns, as ``split`` writes them.
        targets: the columns that are to be predicted.
        folder: where the config will be; where one works if left out.
        windows: of a long table, as ``dataset.windows`` has them; what comes next in the targets
            is then to be predicted.

    Raises:
        RecordError: the data cannot be read, has no such column, or a target is of no type.

    Example:
        >>> rows = [{"carat": n / 10, "cut": "Good", "price": n * 99.5} for n in range(40)]
        >>> start = start_config(rows, ["price"])
        >>> start.config["dataset"]["loader"]["params"]
        {'features': {'carat': 'number'}, 'targets': {'price': 'number'}}
        >>> print(start.table)
        column  kind    feature         why
        carat   number  number          numbers
        cut     text    left out        one value in all records
        price   number  target: number  40 different numbers
    """
    images = RawRecords(os.fspath(data)).images if isinstance(data, str | os.PathLike) else []
    listed = [{"path": path.as_posix(), "label": path.parent.name} for path in images]
    records = Records.read(listed, os.fspath(data)) if images else Records.read(data)
    records.check_names(targets)
    columns: dict[str, Any] = {}
    share = _SHARE
    if windows:
        records.check_names([time := windows["time"]])
        for column in map(records.column, targets):
            if column.kind not in ("whole", "number"):
                raise RecordError(
                    f"{records.owner}: column '{column.name}' holds {column.reason}; a forecast "
                    "has numbers as its target"
                )
        if dated := infer_columns(records[:_DATED], ())[time].column:
            columns[time] = dated
        schema = Schema.from_config({"columns": columns, "windows": windows})
        rows, records = records, Records.read(records, schema=schema)
        targets = [NEXT + name for name in targets]
        enough = (windows["history"] + 2 * windows["horizon"]) / len({*rows.values(time)})
        share = min(0.5, max(share, math.ceil(100 * enough) / 100))
    guesses = infer_columns(records, targets)
    predicted = {name: guesses.pop(name) for name in dict.fromkeys(targets)}
    for name, guess in predicted.items():
        if guess.spec is None:
            raise RecordError(f"{records.owner}: column '{name}': {guess.reason}")
    if images:
        guesses = {"path": _guess_images(Path(data), images, folder or Path())}
    features = {name: guess.spec for name, guess in guesses.items() if guess.spec is not None}
    if not features:
        raise RecordError(f"{records.owner}: no column but the target can be used as a feature")
    params = {"features": features, "targets": {n: guess.spec for n, guess in predicted.items()}}
    columns |= {n: guess.column for n, guess in guesses.items() if guess.column is not None}
    body = {**_body(features), **(_FLAT if windows else {})}
    network = {"import": "barrage_mlflow.model.feature_network", "params": body}
    outputs = [_output(n, guess.spec, len(predicted)) for n, guess in predicted.items()]
    regularised = {"weight_decay": 0.0003, "global_clipnorm": 1.0}
    optimizer = {"import": "AdamW", "learning_rate": 0.001, "params": regularised}
    config = {
        "dataset": {
            "loader": {"import": "FeatureLoader", "params": params},
            "transformer": {"import": "FeatureTransformer"},
            **({"columns": columns} if columns else {}),
            **({"windows": dict(windows)} if windows else {}),
            "seed": 0,
        },
        "model": {"network": network, "outputs": outputs},
        "solver": {"optimizer": optimizer, "batch_size": _batch_size(len(records)), "epochs": 100},
    }
    table = [
        (name, records.column(name).kind, before + _shown(guess.spec), guess.reason)
        for before, part in (("", guesses), ("target: ", predicted))
        for name, guess in part.items()
    ]
    dates = [] if windows else [name for name, spec in features.items() if spec == "datetime"]
    return Start(config, table, _hints(predicted, dates), share)


def windows_of(
    horizon: int | None, history: int | None, time: str | None, group: Sequence[str]
) -> dict[str, Any] | None:
    """The windows that are asked for on the command line, as ``dataset.windows`` has them.

    Returns:
        The windows; None where none are asked for.

    Raises:
        RecordError: of horizon and time one alone is given, or none and one of the others.

    Example:
        >>> windows_of(7, None, "date", ["shop"])
        {'time': 'date', 'group': 'shop', 'history': 28, 'horizon': 7}
    """
    if horizon is None and time is None and not history and not group:
        return None
    if horizon is None or time is None:
        given = {"--horizon": horizon, "--time": time, "--history": history, "--group": group}
        shown = " and ".join(name for name, value in given.items() if value)
        raise RecordError(
            f"expected --horizon and --time, which windows of a long table have, got {shown}; "
            "give both, or none"
        )
    series = {"group": group[0] if len(group) == 1 else [*group]} if group else {}
    return {"time": time, **series, "history": history or 4 * horizon, "horizon": horizon}


def init(
    data: str,
    targets: Sequence[str],
    output: str | os.PathLike[str],
    force: bool = False,
    horizon: int | None = None,
    history: int | None = None,
    time: str | None = None,
    group: Sequence[str] = (),
) -> Start:
    """Write the config that :func:`start_config` makes to a file.

    Args:
        data: a file of records, or a folder of images as :func:`start_config` takes it.
        targets: the columns that are to be predicted.
        output: ``.json`` for JSON; else YAML, with reasons as comments.
        force: whether to write over a file that is there.
        horizon: of windows of a long table, like the others as :func:`windows_of` takes them.
        history: likewise.
        time: likewise.
        group: likewise.

    Raises:
        ArtifactError: the file is there already.
        RecordError: as :func:`start_config` and :func:`windows_of`.

    Example:
        >>> print(init("train.csv", ["price"], "config.yaml").table)  # doctest: +SKIP
    """
    path = Path(output)
    if path.exists() and not force:
        raise ArtifactError(f"{path}: is there already; name another file, or use --force")
    windows = windows_of(horizon, history, time, group)
    start = start_config(data, targets, path.parent, windows)
    text = f"# yaml-language-server: $schema={_SCHEMA}\n$schema: {_SCHEMA}\n{start.yaml}"
    if path.suffix == ".json":
        config = {"$schema": _SCHEMA, **start.config}
        text = json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    with written_whole(path) as partial:
        partial.write_text(text, "utf-8")
    write_schema(read_config(path))
    return start


def validation_beside(data: str) -> Path | None:
    """The validation set that lies beside a train set and is named like it, if there is one.

    Example:
        >>> validation_beside("nowhere/train.csv")
    """
    path = Path(data)
    beside = path.with_name(path.name.replace("train", "validation"))
    return beside if beside != path and beside.exists() else None


def _guess_images(folder: Path, images: Sequence[Path], home: Path) -> Guess:
    """A feature of images under a root: of their own size, if they have one and it is small."""
    import PIL.Image

    shapes, modes = set(), set()
    for path in images[:_LOOKED_AT]:
        try:
            with PIL.Image.open(folder / path) as image:
                shapes.add((image.height, image.width))
                modes.add(image.mode)
        except (OSError, PIL.Image.DecompressionBombError) as error:
            raise RecordError(
                f"{folder / path}: expected an image, such as PNG or JPEG ({error}); mend the "
                "file, or take it out of the folder"
            ) from error
    shape = min(shapes)
    size = list(shape) if len(shapes) == 1 and max(shape) <= max(_IMAGE) else list(_IMAGE)
    channels = 1 if modes <= {"1", "L", "LA", "I;16"} else 3
    root = Path(os.path.relpath(folder, home)).as_posix()
    spec = {"type": "image", "size": size, "channels": channels, "root": root}
    sizes = "of one size" if len(shapes) == 1 else f"of {len(shapes)} sizes"
    return Guess(spec, f"{len(images)} images, {sizes}")


def _output(name: str, spec: Any, count: int) -> dict[str, Any]:
    loss, metrics = _LOSSES[spec if isinstance(spec, str) else spec["type"]]
    output = {"name": name, "loss": {"import": loss}, "metrics": [{"import": m} for m in metrics]}
    return output if count == 1 else {**output, "loss_weight": 1.0}


def _body(features: Mapping[str, Any]) -> dict[str, Any]:
    """Params of the body: no layers where encoders of texts, images and series are all."""
    types = {spec if isinstance(spec, str) else spec["type"] for spec in features.values()}
    embedded = {"numbers": "piecewise_linear"} if "number" in types else {}
    units = [] if types <= {"text", "image", "series"} else [256, 256]
    return {"body": "mlp", "units": units, **embedded}


def _batch_size(count: int) -> int:
    """Some hundred steps an epoch: few for a small table, and not too many for a large one."""
    return 32 if count < 2_000 else 128 if count < 10_000 else 256 if count < 200_000 else 1024


def _hints(targets: Mapping[str, Guess], dates: Sequence[str]) -> list[str]:
    hints = [
        f"{name}: if the model is to predict for later dates than these, make the sets with split "
        f"--time {shlex.quote(name)}, and write {name}: {{type: datetime, trend: false}}"
        for name in dates[:1]
    ]
    counted = {name: guess.classes for name, guess in targets.items() if guess.classes}
    for name, counts in counted.items():
        rarest = min(counts, key=counts.__getitem__)
        share = counts[rarest] / sum(counts.values())
        if share < _RARE:
            hints.append(
                f"{name}: {share:.1%} of the records are {rarest!r}; to have rare classes count as "
                "much as frequent ones, at the cost of true probabilities, add class_weight: "
                "balanced to the output"
            )
    return hints


def _shown(spec: Any) -> str:
    if spec is None:
        return _LEFT_OUT
    if isinstance(spec, str):
        return spec
    return ", ".join(
        [spec["type"], *(f"{k}: {json.dumps(v)}" for k, v in spec.items() if k != "type")]
    )


class _Dumper(yaml.SafeDumper):
    """Writes strings in quotes where YAML 1.1 or 1.2 could read something else."""


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = None if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _string)


def _dump(value: Any, **options: Any) -> str:
    given: dict[str, Any] = {"sort_keys": False, "allow_unicode": True, "width": 10_000}
    text: str = yaml.dump(value, Dumper=_Dumper, **{**given, "default_flow_style": None, **options})
    return text


def _in_line(value: Any) -> str:
    return _dump(value, default_flow_style=True).removesuffix("...\n").strip()
