"""The transformer: learns from the train records how to turn arrays into what a network takes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from barrage_mlflow.dataset import DataRecord, Records, RecordScore, RecordTransformer

from .loader import CATEGORIES, NUMBERS

FILE = "transformer.json"


class Transformer(RecordTransformer):
    """Normalises numbers, counts categories through, and undoes it in the scores.

    Inputs for the network: ``numbers`` (number,) float32 with mean 0 and standard deviation 1, and
    the mean where one is missing; ``missing`` (number,) float32, 1 where it is; each of the
    categories () int32, from 1 in alphabetical order. 0 stands for a missing category and for one
    that no train record holds. Species are numbered from 0.

    The config's network params take their sizes from the placeholders ``{{number_count}}``,
    ``{{category_counts}}``, from the name of a category to how many codes it has, 0 included, and
    ``{{species_count}}``.
    """

    network_param_names = ("number_count", "category_counts", "species_count")

    def fit(self, records: Records) -> None:
        """Learn from the train records.

        Raises:
            ValueError: a column holds no number at all.
        """
        x, y, weights = self.loader.load_batch(records)
        columns = dict(zip(NUMBERS, x["numbers"].T, strict=True))
        columns["body_mass"] = np.where(weights["body_mass"] > 0, y["body_mass"], np.nan)
        for name, values in columns.items():
            if np.isnan(values).all():
                raise ValueError(f"no train record has a number in {name}")
        texts = {"species": y["species"]} | {name: x[name] for name in CATEGORIES}
        # change here: whatever else is to be learnt; all of it goes through `_set`, so that `save`
        # writes it and `load` reads it back
        self._set(
            means={name: float(np.nanmean(values)) for name, values in columns.items()},
            # A column that never varies must not divide by zero.
            deviations={name: float(np.nanstd(values)) or 1.0 for name, values in columns.items()},
            texts={name: sorted(set(values.tolist()) - {""}) for name, values in texts.items()},
        )

    def _set(
        self, means: dict[str, float], deviations: dict[str, float], texts: dict[str, list[str]]
    ) -> None:
        self._learnt = {"means": means, "deviations": deviations, "texts": texts}
        self._mean = np.array([means[name] for name in NUMBERS])
        self._deviation = np.array([deviations[name] for name in NUMBERS])
        self._mass_mean, self._mass_deviation = means["body_mass"], deviations["body_mass"]
        self._species = np.array(texts["species"], object)
        self._codes = {
            name: {text: code for code, text in enumerate(values, start=name in CATEGORIES)}
            for name, values in texts.items()
        }
        self.network_params = {
            "number_count": len(NUMBERS),
            "category_counts": {name: len(texts[name]) + 1 for name in CATEGORIES},
            "species_count": len(texts["species"]),
        }

    def transform(self, data_record: DataRecord) -> DataRecord:
        """Transform one record.

        Raises:
            ValueError: no train record is of this species, or the record has none.
        """
        x, *targets = data_record
        # change here, and in transform_batch: what the network gets to see
        transformed = self._normalise(x["numbers"])
        for name in CATEGORIES:
            transformed[name] = np.array(self._code(name, x[name].item()), np.int32)
        if not targets:
            return (transformed,)
        y, weights = targets
        species = np.array(self._code("species", y["species"].item()), np.int32)
        return transformed, {"species": species, "body_mass": self._mass(y, weights)}, weights

    def transform_batch(self, data_record: DataRecord) -> DataRecord:
        """Transform many records: the same arrays, with a leading axis ``batch``.

        It may be deleted: ``transform`` is then called for each record, which is slower.
        """
        x, *targets = data_record
        transformed = self._normalise(x["numbers"])
        for name in CATEGORIES:
            transformed[name] = self._codes_of(name, x[name])
        if not targets:
            return (transformed,)
        y, weights = targets
        species = self._codes_of("species", y["species"])
        return transformed, {"species": species, "body_mass": self._mass(y, weights)}, weights

    def _normalise(self, numbers: np.ndarray) -> dict[str, np.ndarray]:
        # Works on (number,) and on (batch, number) alike.
        missing = np.isnan(numbers)
        normal = np.where(missing, 0.0, (numbers - self._mean) / self._deviation)
        return {"numbers": normal.astype(np.float32), "missing": missing.astype(np.float32)}

    def _mass(self, y: dict[str, np.ndarray], weights: dict[str, np.ndarray]) -> np.ndarray:
        normal = (y["body_mass"] - self._mass_mean) / self._mass_deviation
        # A mass that is missing has weight 0; it must only be a number.
        return np.where(weights["body_mass"] > 0, normal, 0.0).astype(np.float32)

    def _codes_of(self, name: str, texts: np.ndarray) -> np.ndarray:
        return np.array([self._code(name, text) for text in texts.tolist()], np.int32)

    def _code(self, name: str, text: str) -> int:
        codes = self._codes[name]
        if text not in codes and name in CATEGORIES:
            return 0
        if text not in codes:
            raise ValueError(f"{name} {text!r} is in no train record; they hold {', '.join(codes)}")
        return codes[text]

    def postprocess(self, score: RecordScore) -> RecordScore:
        """Name the most probable species, with its probability, and tell the mass in its unit.

        Args:
            score: ``species`` (species,) float32 and ``body_mass`` (1,) float32 of one record.
        """
        # change here: what a user of the model gets to read
        code = int(np.argmax(score["species"]))
        return {
            "species": self._species[code],
            "species_probability": float(score["species"][code]),
            "body_mass_g": float(score["body_mass"][0]) * self._mass_deviation + self._mass_mean,
        }

    def postprocess_batch(self, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Do the same for many records, in arrays (batch,)."""
        mass = scores["body_mass"][:, 0].astype(float)
        return {
            "species": self._species[np.argmax(scores["species"], axis=1)],
            "species_probability": scores["species"].max(axis=1).astype(float),
            "body_mass_g": mass * self._mass_deviation + self._mass_mean,
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what ``fit`` learnt to a file in the folder."""
        text = json.dumps(self._learnt, indent=2, ensure_ascii=False)
        Path(path, FILE).write_text(text + "\n", "utf-8")

    def load(self, path: str | os.PathLike[str]) -> None:
        """Read what ``save`` wrote."""
        self._set(**json.loads(Path(path, FILE).read_text("utf-8")))
