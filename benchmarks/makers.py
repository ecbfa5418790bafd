"""Makes the data of the cases, from seeds."""

from __future__ import annotations

from pathlib import Path

FEATURES = 20
COLUMNS = [f"c{index}" for index in range(FEATURES)]
_CHUNK = 65_536
"""Records in a row group of a table that is written in parts."""


def make_table(path: str, records: int, seed: int, in_parts: bool = False) -> None:
    """Write a Parquet file of 20 float32 columns ``c0`` … and a float32 target ``y``.

    Args:
        path: the file.
        records: how many.
        seed: of their numbers.
        in_parts: write row groups of 65,536 records one by one, as what makes more data than
            memory holds has to; else the whole is written at once, in pyarrow's own row groups.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    generator = np.random.default_rng(seed)
    weights = np.random.default_rng(0).normal(size=FEATURES).astype("float32") / FEATURES**0.5

    def part(count: int) -> pa.Table:
        x = generator.standard_normal((count, FEATURES), "float32")
        y = np.tanh(x @ weights) + 0.1 * generator.standard_normal(count, "float32")
        return pa.table([*x.T.copy(), y], names=[*COLUMNS, "y"])

    if not in_parts:
        pq.write_table(part(records), path)
        return
    # A dictionary of numbers that never repeat makes a row group half as large again.
    with pq.ParquetWriter(path, part(0).schema, use_dictionary=False) as writer:
        for start in range(0, records, _CHUNK):
            writer.write_table(part(min(_CHUNK, records - start)))


def make_images(path: str, count: int, pixels: int) -> None:
    """Write a folder of PNG files, RGB, and ``images.csv`` with ``file`` and ``label``.

    Args:
        path: the folder.
        count: how many files.
        pixels: width and height.
    """
    import numpy as np
    from PIL import Image

    folder = Path(path)
    folder.mkdir()
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:pixels, :pixels] / pixels
    lines = ["file,label"]
    for index in range(count):
        # Smooth with a little noise, as photographs are: noise alone does not compress.
        waves = generator.uniform(1, 9, (3, 2))
        smooth = [np.sin(a * rows + b * columns) for a, b in waves]
        noise = generator.normal(0, 4, (pixels, pixels, 3))
        image = (np.stack(smooth, -1) * 100 + 128 + noise).clip(0, 255).astype("uint8")
        Image.fromarray(image).save(folder / f"{index:06}.png")
        lines.append(f"{index:06}.png,{index % 10}")
    (folder / "images.csv").write_text("\n".join(lines) + "\n", "utf-8")


def make_penguins(path: str, records: int) -> None:
    """Write a CSV file of the penguins' train records, over and over again."""
    import pandas as pd

    train = Path(__file__).parents[1] / "examples" / "penguins" / "train.csv"
    birds = pd.read_csv(train)
    pd.concat([birds] * (records // len(birds) + 1))[:records].to_csv(path, index=False)
