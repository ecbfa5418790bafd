"""What a model answers to records, beside what is true of them: what every figure is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from barrage_mlflow.config.features import NEXT
from barrage_mlflow.dataset import FeatureLoader, RecordMode, Records
from barrage_mlflow.dataset.components.stacking import call_each
from barrage_mlflow.dataset.feeding.conform import conform
from barrage_mlflow.dataset.types import Array, cut
from barrage_mlflow.errors import ComponentError
from barrage_mlflow.scoring.scorer import BATCH_SIZE, ProcessScorer, Scorer
from barrage_mlflow.scoring.scores import check_finite

Arrays = Mapping[str, Array]


class About(NamedTuple):
    """What is known of an output whichever records are seen.

    Attributes:
        type: its target's type, if a config of features tells it.
        loss: the name of its loss, ``"sparse_categorical_crossentropy"``.
        has_logits: whether it gives logits where the loss takes probabilities.
        labels: the names of its classes in the order of their codes; empty where codes are names.
    """

    type: str
    loss: str
    has_logits: bool
    labels: Sequence[Any]


class Observed(NamedTuple):
    """What came of some records, in plain dicts; but for ``about``, of arrays ``(records, ...)``.

    Attributes:
        answers: what ``postprocess`` gives, by key.
        truths: what is true, by key of the answer, as the transformer's ``targets`` gives it.
        scores: the network's outputs.
        targets: what each output was to come to.
        weights: sample weights, by output; empty where a record counts as one.
        masks: of outputs of which some steps do not count, ``(records, steps) bool``.
        pasts: by output, what came before its series: ``(records, history)``.
        about: what is known of each output whichever the records are, as :class:`About` has it.
        left_out: numbers of the records that the transformer refused; of them there is nothing.
        why: what it said of the first.
    """

    answers: Arrays
    truths: Arrays
    scores: Arrays
    targets: Arrays
    weights: Arrays
    masks: Arrays
    pasts: Arrays
    about: Mapping[str, tuple[Any, ...]]
    left_out: Sequence[int] = ()
    why: str = ""


class Observer:
    """Shows records to a model.

    Args:
        scorer: the model.

    Example:
        >>> observer = Observer(Scorer.load(folder))  # doctest: +SKIP
        >>> observer.observe(records).answers["species"]  # doctest: +SKIP
        array(['Adelie', 'Gentoo'], dtype=object)
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._has_answered = False
        if isinstance(scorer, ProcessScorer):
            return
        self._pipeline = scorer.load_pipeline(RecordMode.VALIDATION)
        loader, transformer = self._pipeline.loader, self._pipeline.transformer
        targets = loader.targets if isinstance(loader, FeatureLoader) else {}
        self._about: dict[str, tuple[Any, ...]] = {}
        for output in scorer.config["model"]["outputs"]:
            name, loss = output["name"], output["loss"]
            self._about[name] = (
                targets[name].type if name in targets else "",
                loss["import"].rpartition(".")[2],
                bool(loss.get("params", {}).get("from_logits")),
                [*transformer.class_labels.get(name, ())],
            )

    def pieces(self, records: Records) -> Iterator[Records]:
        """Records in pieces of the size that is best observed at once."""
        if isinstance(self._scorer, ProcessScorer) and self._scorer.inputs.windows:
            yield records  # windows that overlap have rows in common, which there are one window
        else:
            yield from self._scorer.pieces(records)

    def observe(self, records: Records) -> Observed:
        """Have the model answer records that have targets.

        Those that its transformer refuses are left out, such as of a class that it does not know.

        Args:
            records: as the model's schema reads them.

        Raises:
            RecordError: a record cannot be loaded or fed to the network.
            ComponentError: a component broke its contract.
            ArtifactError: the model was packaged by an engine that cannot be observed.
            Exception: what the transformer raises, if it has refused all records so far.
        """
        if isinstance(self._scorer, ProcessScorer):
            return Observed(*self._scorer.call("observe", records.as_rows()))
        loaded = self._pipeline.load(records)
        try:
            data = self._pipeline.transform(loaded, records)
        except Exception as error:
            refused = [*self._refused(loaded, 0, len(records))]
            rest = np.delete(np.arange(len(records)), refused)
            if not refused or not (len(rest) or self._has_answered):
                raise
            answered = self.observe(records.take(rest)) if len(rest) else _NOTHING
            return answered._replace(left_out=refused, why=str(error))
        self._has_answered = True
        if len(data) == 1:
            raise ComponentError("the loader loads no targets for validation")
        x, y, *w = conform(data, self._scorer.input_specs, records, self._pipeline)
        scores, masks = self._scorer.network(x, BATCH_SIZE)
        check_finite(scores, records, "the network")
        answers = self._pipeline.postprocess(scores, records, self._scorer.score_params)
        truths = self._pipeline.targets(loaded, records)
        before = {NEXT + column: column for column in records.columns}
        ahead = scores if self._scorer.schema.windows else ()
        pasts = {name: records[before[name]] for name in ahead if name in before}
        return Observed(answers, truths, scores, y, w[0] if w else {}, masks, pasts, self._about)

    def _refused(self, loaded: Any, start: int, stop: int) -> Iterator[int]:
        """Which of some loaded records the transformer refuses also by themselves."""
        transformer, middle = self._pipeline.transformer, (start + stop) // 2
        try:
            if isinstance(loaded, list):
                call_each(transformer.transform, loaded[start:stop])
            else:
                transformer.transform_batch(cut(loaded, start, stop))
        except Exception:
            if stop - start == 1:
                yield start
            else:
                yield from self._refused(loaded, start, middle)
                yield from self._refused(loaded, middle, stop)


_NOTHING = Observed({}, {}, {}, {}, {}, {}, {}, {})
