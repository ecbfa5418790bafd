"""Make the example data anew: split a raw CSV into train.csv and validation.csv.

::

    python examples/prepare.py iris iris_data.csv
    python examples/prepare.py penguins penguins.csv

The raw files are scikit-learn's ``sklearn/datasets/data/iris.csv`` and palmerpenguins'
``penguins.csv``; each example's README says where they come from. The split is stratified by
species and seeded, so that the same raw file gives the same two files, byte for byte.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

IRIS_COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width", "species"]


def read_raw(name: str, path: Path) -> pd.DataFrame:
    """Read a raw file as text, so that every number is written again as it was.

    Args:
        name: ``iris`` or ``penguins``.
        path: the raw CSV.

    Returns:
        One row a flower or bird; a missing value is an empty string.
    """
    if name == "iris":
        # scikit-learn's first line holds counts and class names where others hold column names.
        return pd.read_csv(path, header=None, skiprows=1, names=IRIS_COLUMNS, dtype=str)
    return pd.read_csv(path, dtype=str, keep_default_na=False).replace("NA", "")


def split(raw: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw 70 % of each species to train, the rest to validate; both keep the raw order.

    Args:
        raw: the rows, with a column ``species``.
        seed: of the draw.

    Returns:
        The train rows and the validation rows.
    """
    rng = np.random.default_rng(seed)
    train = np.zeros(len(raw), dtype=bool)
    for species in sorted(raw["species"].unique()):
        rows = np.flatnonzero(raw["species"] == species)
        train[rng.permutation(rows)[: round(0.7 * len(rows))]] = True
    return raw[train], raw[~train]


def main() -> None:
    """Read the command line and write the two files beside the example's config."""
    parser = argparse.ArgumentParser(description="Split a raw CSV into train.csv, validation.csv.")
    parser.add_argument("name", choices=["iris", "penguins"])
    parser.add_argument("raw", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to write; the example's own by default")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(__file__).parent / arguments.name
    parts = split(read_raw(arguments.name, arguments.raw), arguments.seed)
    for part, rows in zip(("train", "validation"), parts, strict=True):
        target = folder / f"{part}.csv"
        rows.to_csv(target, index=False, lineterminator="\n")
        print(f"{target}: {len(rows)} rows")


if __name__ == "__main__":
    main()
