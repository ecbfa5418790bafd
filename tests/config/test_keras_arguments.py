"""Reading from source what the ``**kwargs`` of a class stand for."""

import pytest
from barrage_mlflow.config.keras_arguments import arguments

from barrage_mlflow.config.signatures import Accepts


class Base:
    def __init__(self, size, *rest, name=None, **kwargs):
        self.size, self.name = size, name
        if "shape" in kwargs:
            self.shape = kwargs["shape"]
        if kwargs:
            raise ValueError(f"unknown: {kwargs}")


class HandingOn(Base):
    def __init__(self, units, *, rate=0.5, **options):
        self.old = options.pop("old", 1)
        self.older = options.pop("older", len("x")) or options.get("shape")
        super().__init__(units, name="fixed", **options)


class HandingAll(Base):
    def __init__(self, **kwargs):
        kwargs["name"] = kwargs["name"] or "unnamed"
        Base(**kwargs)
        super().__init__(**kwargs)


class Keeping(Base):
    def __init__(self, units=1, **kwargs):
        super().__init__(units, **kwargs)
        self.config = kwargs


class Elsewhere(Base):
    def __init__(self, **kwargs):
        super().__init__(1)
        self.inner = HandingOn(**kwargs)


class Dropping(Keeping):
    def __init__(self, units, **kwargs):
        super().__init__(units)


class OfKeeping(Keeping):
    def __init__(self, **kwargs):
        super().__init__(units=3, **kwargs)


class Bare: ...


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Base, Accepts.of(lambda size, *rest, name=None: None)),
        (HandingOn, Accepts.of(lambda units, *, rate=0.5, old=1, older=len: None)),
        (HandingAll, Accepts.of(lambda *, size, name=None: None)),
        (Keeping, Accepts.of(lambda units=1, **kwargs: None)),
        (Elsewhere, Accepts.of(lambda **kwargs: None)),
        (Dropping, Accepts.of(lambda units: None)),
        (OfKeeping, Accepts.of(lambda **kwargs: None)),
        (type("Heir", (HandingAll,), {}), Accepts.of(lambda *, size, name=None: None)),
        (Bare, Accepts()),
        (int, Accepts.of(int)),
    ],
)
def test_arguments_of_a_class(found, expected):
    assert arguments(found) == expected


def test_arguments_of_a_class_whose_source_is_not_there():
    space = {"Base": Base}
    exec("class Part(Base):\n  def __init__(self, a, **k): super().__init__(**k)", space)
    assert arguments(space["Part"]) == Accepts.of(lambda a, **k: None)
    assert arguments(space["Part"], own_only=True) == Accepts.of(lambda a: None)
