"""Features and targets as a fitted transformer describes them, one of each type, and arrays."""

import numpy as np

FEATURES = [
    {"name": "carat", "type": "number", "input": "numbers", "at": [0, 2], "edges": [-2, 0, 1, 2]},
    {"name": "dense", "type": "number", "input": "numbers", "at": [2, 3], "edges": [-1, 1]},
    {"name": "gift", "type": "truth", "input": "numbers", "at": [3, 4]},
    {"name": "sold", "type": "datetime", "input": "numbers", "at": [4, 10]},
    {"name": "cut", "type": "category", "input": "codes", "at": [0, 1], "size": 7},
    {"name": "shop", "type": "category", "input": "codes", "at": [1, 2], "size": 40},
    {"name": "clarity", "type": "category", "input": "codes", "at": [2, 3], "size": 4},
    {"name": "tags", "type": "multi_category", "input": "tags", "size": 5},
    {"name": "note/en (new)", "type": "text", "input": "note/en (new)", "length": 6, "size": 30},
    {"name": "photo", "type": "image", "input": "photo", "shape": [8, 8, 3]},
    {"name": "load", "type": "series", "input": "load", "shape": [12, 2], "mask": True},
]
for feature, encoding in zip(FEATURES[4:7], ("one_hot", "embedding", "one_hot"), strict=True):
    feature["encoding"] = encoding
TARGETS = [
    {"name": "price/eur", "type": "number"},
    {"name": "kind", "type": "category", "size": 3},
    {"name": "dropout", "type": "truth"},
    {"name": "colours", "type": "multi_category", "size": 9},
    {"name": "demand", "type": "series", "size": 7},
]
SIZES = {target["name"]: target.get("size", 1) for target in TARGETS}
ENCODERS = {
    "text": {"units": 4, "pairs": 64},
    "photo": {"filters": [4, 4, 4, 4]},
    "load": {"filters": [4, 4, 4]},
}


def arrays(records=5):
    rng = np.random.default_rng(3)
    return {
        "numbers": rng.normal(size=(records, 10)).astype("float32"),
        "codes": rng.integers(0, 4, (records, 3)).astype("int32"),
        "tags": rng.integers(0, 2, (records, 5)).astype("float32"),
        "note/en (new)": rng.integers(0, 30, (records, 6)).astype("int32"),
        "photo": rng.integers(0, 256, (records, 8, 8, 3)).astype("uint8"),
        "load": rng.normal(size=(records, 12, 2)).astype("float32"),
    }


def codes_alone(*sizes, encoding="one_hot"):
    block = {"type": "category", "input": "codes", "encoding": encoding}
    return [
        {**block, "name": f"c{place}", "at": [place, place + 1], "size": size}
        for place, size in enumerate(sizes)
    ]


def numbers_alone(count=2):
    block = {"type": "number", "input": "numbers", "edges": [-3, -1, 0, 1, 3]}
    return [{**block, "name": f"n{i}", "at": [i, i + 1]} for i in range(count)]
