"""What the models of ``fuzz_serving`` are made of, as a project would write it.

Nothing here takes more care over its input than a user's code does: what comes of a bad record is
for the engine to answer.
"""

from __future__ import annotations

import base64
import io

import keras
import numpy as np
from PIL import Image

from barrage_mlflow.dataset import IdentityTransformer, RecordLoader, RecordMode

COLOURS = ("amber", "blue", "green")
FINISHES = ("matt", "shiny")
PHOTO = 4
"""Height and width of a photo, in pixels."""


class StrictTransformer(IdentityTransformer):
    """Numbers words; one that no train record holds is an error, no finish is 0. By the record."""

    def fit(self, records):
        self._codes = {
            name: {word: code for code, word in enumerate(words)}
            for name, words in (("colour", COLOURS), ("finish", (None, *FINISHES)))
        }

    def transform(self, data_record):
        x, *targets = data_record
        weight = x["weight"].item()
        transformed = {
            "numbers": x["numbers"] / np.array([1.0, 100.0]),
            "ready": x["ready"],
            "weight": np.array([0.0 if np.isnan(weight) else weight], np.float32),
            **{name: self._code(name, x[name].item()) for name in self._codes},
        }
        return (transformed, *targets)

    def _code(self, name, word):
        if word not in self._codes[name]:
            raise ValueError(f"no train record has the {name} {word!r}")
        return np.array(self._codes[name][word], np.int32)

    def save(self, path):
        """All that it knows stands in the code."""

    def load(self, path):
        self.fit(None)


class ListsLoader(RecordLoader):
    """Loads lists, images as lists, as PNG files in base64 and as bytes. By the record."""

    def load(self, record):
        x = {
            "level": np.array(record["level"]),
            "series": np.array(record["series"]),
            "image": np.array(record["image"], np.float32),
            "photo": decode_photo(record["photo"]),
            "raw": np.frombuffer(record["raw"], np.uint8),
        }
        if self.mode is RecordMode.SCORE:
            return (x,)
        return x, {"label": np.array(record["label"])}

    def columns_of(self, name):
        return [name]


def encode_photo(pixels) -> str:
    """Pixels ``(height, width) uint8`` as a PNG file in base64."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def decode_photo(text):
    content = base64.b64decode(text, validate=True)
    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        return np.array(image.convert("L"))


def scalars_network():
    inputs = {
        "numbers": keras.Input((2,), name="numbers"),
        "ready": keras.Input((1,), name="ready"),
        "weight": keras.Input((1,), name="weight"),
        "colour": keras.Input((), dtype="int32", name="colour"),
        "finish": keras.Input((), dtype="int32", name="finish"),
    }
    words = [
        keras.layers.Embedding(len(COLOURS), 2)(inputs["colour"]),
        keras.layers.Embedding(len(FINISHES) + 1, 2)(inputs["finish"]),
    ]
    features = [inputs["numbers"], inputs["ready"], inputs["weight"], *words]
    return _classifier(inputs, features)


def lists_network():
    inputs = {
        "level": keras.Input((1,), name="level"),
        "series": keras.Input((5,), name="series"),
        "image": keras.Input((8, 8), name="image"),
        "photo": keras.Input((PHOTO, PHOTO), name="photo"),
        "raw": keras.Input((6,), name="raw"),
    }
    return _classifier(inputs, [keras.layers.Flatten()(each) for each in inputs.values()])


def _classifier(inputs, features):
    hidden = keras.layers.Dense(8, "relu")(keras.layers.Concatenate()(features))
    label = keras.layers.Dense(2, "softmax", name="label")(hidden)
    return keras.Model(inputs, {"label": label})
