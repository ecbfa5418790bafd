"""Batches of pictures, each a file."""

from __future__ import annotations

from pathlib import Path

from harness import Bench, Case, Goal, Row
from makers import make_images

BATCH_SIZE = 64
PIXELS = 64
WORKERS = 2


def ours(folder: str, epochs: int) -> float:
    """Seconds of an epoch of the engine's batches."""
    from producing import resolved, seconds_of_ours

    from barrage_mlflow.dataset import ArraySpec, Records

    loader = {"import": "components.ImageLoader", "params": {"folder": folder}}
    config = resolved({"loader": loader, "workers": WORKERS}, BATCH_SIZE)
    specs = {"image": ArraySpec((PIXELS, PIXELS, 3), "float32")}
    return seconds_of_ours(config, Records.read(Path(folder, "images.csv")), specs, epochs)


def peer(folder: str, epochs: int) -> float:
    """Seconds of an epoch of ``tf.data``, which decodes in as many threads."""
    import pandas as pd
    import tensorflow as tf
    from producing import seconds_of

    table = pd.read_csv(Path(folder, "images.csv"))
    files = [str(Path(folder, name)) for name in table["file"]]

    def decode(file: tf.Tensor, label: tf.Tensor) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        image = tf.io.decode_png(tf.io.read_file(file), channels=3)
        image.set_shape((PIXELS, PIXELS, 3))
        return {"image": tf.cast(image, tf.float32) / 255}, label

    batches = (
        tf.data.Dataset.from_tensor_slices((files, table["label"].to_numpy()))
        .shuffle(len(files), seed=7)
        .map(decode, num_parallel_calls=WORKERS)
        .batch(BATCH_SIZE)
        .prefetch(tf.data.AUTOTUNE)
    )
    return seconds_of(lambda epoch: iter(batches), epochs, len(files))


def measure(bench: Bench) -> list[Row]:
    """Measure both sides."""
    count = bench.size(20_000, 200)
    folder = str(bench.made(f"images-{count}", make_images, count=count, pixels=PIXELS))
    epochs = bench.size(4, 2)
    taken = bench.in_turn(
        ours=lambda: count / bench.call(ours, folder=folder, epochs=epochs).value,
        peer=lambda: count / bench.call(peer, folder=folder, epochs=epochs).value,
    )
    return [Row("png", "tf.data", "records/s", taken["ours"], taken["peer"], Goal(0.8))]


CASES = [
    Case(
        "png",
        """\
20,000 RGB files of 64 × 64 in one folder, batch 64, shuffled, float32 from 0 to 1: records/s of
batches that nobody trains on. Ours is a record loader that opens each file with Pillow, in two
worker processes. The peer is `tf.data`: `shuffle`, then `map` with `read_file` and `decode_png` and
`num_parallel_calls=2`, `batch`, `prefetch`.""",
        measure,
    )
]
