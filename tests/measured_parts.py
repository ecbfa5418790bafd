"""A transformer that scales its targets, and undoes that in the answer."""

from pathlib import Path

import numpy as np

from barrage_mlflow import IdentityTransformer


class Scaler(IdentityTransformer):
    """Divides the targets of one output by how far they are spread."""

    def __init__(self, mode, loader, target="sum"):
        super().__init__(mode, loader)
        self.target = target

    def fit(self, records):
        self.scale = float(np.std([record[self.target] for record in records]))

    def transform(self, data_record):
        x, *rest = data_record
        if rest:
            y, *w = rest
            rest = [{**y, self.target: y[self.target] / self.scale}, *w]
        return (x, *rest)

    def postprocess(self, score):
        return {**score, self.target: score[self.target].item() * self.scale}

    def save(self, path):
        Path(path, "scale.txt").write_text(repr(self.scale))

    def load(self, path):
        self.scale = float(Path(path, "scale.txt").read_text())
