"""Make the example data anew: split a raw file into train.csv and validation.csv.

::

    python examples/prepare.py iris iris_data.csv
    python examples/prepare.py penguins penguins.csv
    python examples/prepare.py adult adult.parquet.brotli
    python examples/prepare.py texts WomensClothingE-CommerceReviews.parquet.brotli
    python examples/prepare.py digits digits.csv.gz
    python examples/prepare.py forecast txhousing.csv

Each example's README says where its raw file comes from. The split is stratified and seeded, so
that the same raw file gives the same two files, byte for byte. Of digits this makes the images, of
forecast one table; ``barrage-mlflow split`` makes their sets.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image

STRATA = {"iris": "species", "penguins": "species", "adult": "income", "texts": "department"}
IRIS_COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width", "species"]
ADULTS, TEXTS, DIGITS = 3_000, 2_400, 500
"""How many of each are kept."""
LONGEST, SMALLEST = 200, 100
"""Characters of a text, and texts of a department."""


def read_raw(name: str, path: Path) -> pd.DataFrame:
    """Read a raw file as text, so that every number is written again as it was.

    Args:
        name: of the example.
        path: the raw file.

    Returns:
        One row a flower, bird, person or review; a missing value is an empty string, a person's
        ``?``.
    """
    if name == "adult":
        return pd.read_parquet(path).sample(ADULTS, random_state=0).sort_index()
    if name == "texts":
        reviews = pd.read_parquet(path)[["Review Text", "Department Name"]]
        reviews.columns = ["review", "department"]
        reviews = reviews[reviews["review"].str.len() <= LONGEST].dropna().drop_duplicates("review")
        common = reviews.groupby("department")["review"].transform("count") >= SMALLEST
        return reviews[common].sample(TEXTS, random_state=0).sort_index()
    if name == "iris":
        # scikit-learn's first line holds counts and class names where others hold column names.
        return pd.read_csv(path, header=None, skiprows=1, names=IRIS_COLUMNS, dtype=str)
    return pd.read_csv(path, dtype=str, keep_default_na=False).replace("NA", "")


def split(raw: pd.DataFrame, seed: int, by: str = "species") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw 70 % of each class to train, the rest to validate; both keep the raw order.

    Args:
        raw: the rows.
        seed: of the draw.
        by: the column that has the class.

    Returns:
        The train rows and the validation rows.
    """
    rng = np.random.default_rng(seed)
    train = np.zeros(len(raw), dtype=bool)
    for each in sorted(raw[by].unique()):
        rows = np.flatnonzero(raw[by] == each)
        train[rng.permutation(rows)[: round(0.7 * len(rows))]] = True
    return raw[train], raw[~train]


def write_images(path: Path, folder: Path) -> None:
    """Write the first digits of a raw file as images, in a folder for each digit.

    Args:
        path: of a row for each digit: 64 greys from 0 to 16, and which it is.
        folder: where to write.
    """
    rows = np.loadtxt(path, delimiter=",", dtype=np.uint8, max_rows=DIGITS)
    for number, row in enumerate(rows):
        file = folder / str(row[-1]) / f"{number:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(row[:-1].reshape(8, 8) * 15).save(file)
    print(f"{folder}: {len(rows)} images")


def write_table(path: Path, target: Path) -> None:
    """Write the houses that were sold in each city and month.

    Args:
        path: of a row for each, with ``year``, ``month`` and further figures.
        target: the file to write.
    """
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    raw["date"] = raw["year"] + "-" + raw["month"].str.zfill(2) + "-01"
    raw["sales"] = raw["sales"].str.removesuffix(".0").replace("NA", "")
    raw[["city", "date", "sales"]].to_csv(target, index=False, lineterminator="\n")
    print(f"{target}: {len(raw)} rows")


def main() -> None:
    """Read the command line and write what was made beside the example's config."""
    parser = argparse.ArgumentParser(description="Make the data of an example of its raw file.")
    parser.add_argument("name", choices=[*STRATA, "digits", "forecast"])
    parser.add_argument("raw", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where to write; the example's own by default")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(__file__).parent / arguments.name
    if arguments.name == "digits":
        write_images(arguments.raw, folder / "images")
        return
    if arguments.name == "forecast":
        write_table(arguments.raw, folder / "houses.csv")
        return
    raw = read_raw(arguments.name, arguments.raw)
    parts = split(raw, arguments.seed, STRATA[arguments.name])
    for part, rows in zip(("train", "validation"), parts, strict=True):
        target = folder / f"{part}.csv"
        rows.to_csv(target, index=False, lineterminator="\n")
        print(f"{target}: {len(rows)} rows")


if __name__ == "__main__":
    main()
