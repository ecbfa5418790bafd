"""The feature types by the names that a config gives them."""

from __future__ import annotations

from barrage_mlflow.dataset.features.category import Category
from barrage_mlflow.dataset.features.datetime import Datetime
from barrage_mlflow.dataset.features.feature import Feature
from barrage_mlflow.dataset.features.image import Image
from barrage_mlflow.dataset.features.multi_category import MultiCategory
from barrage_mlflow.dataset.features.number import Number
from barrage_mlflow.dataset.features.series import Series
from barrage_mlflow.dataset.features.targets import (
    CategoryTarget,
    MultiCategoryTarget,
    NumberTarget,
    SeriesTarget,
    Target,
    TruthTarget,
)
from barrage_mlflow.dataset.features.text import Text
from barrage_mlflow.dataset.features.truth import Truth

FEATURES: dict[str, type[Feature]] = {
    each.type: each
    for each in (Number, Category, Truth, Datetime, Text, Image, Series, MultiCategory)
}
TARGETS: dict[str, type[Target]] = {
    each.type: each
    for each in (NumberTarget, CategoryTarget, TruthTarget, MultiCategoryTarget, SeriesTarget)
}
