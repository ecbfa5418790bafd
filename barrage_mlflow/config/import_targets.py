"""What an import string means: a class or function and what it accepts, or why there is none."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from barrage_mlflow.config.component_kinds import Kind
from barrage_mlflow.config.findings import Finding
from barrage_mlflow.config.names import did_you_mean, nearest, show_names, suggest
from barrage_mlflow.config.project import ENGINE, own_modules
from barrage_mlflow.errors import ImportPathError

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Accepts:
    """The arguments that a class or function takes.

    Attributes:
        positional: names that can be filled by position, in order.
        names: names that can be given by keyword.
        required: names without a default.
        any_count: it takes any number of positional arguments.
        any_name: it takes any keyword.
        types: of each annotated name, the annotation as it is written.
        defaults: of each name whose default is a JSON value, the default.

    Example:
        >>> accepts = Accepts.of(lambda units, rate=0.5: None)
        >>> accepts.names, accepts.required, accepts.defaults
        (('units', 'rate'), ('units',), {'rate': 0.5})
    """

    positional: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    any_count: bool = False
    any_name: bool = False
    types: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, target: Callable[..., Any]) -> Accepts:
        """Reads a signature; where there is none to read, everything is accepted."""
        try:
            return cls.of_parameters(inspect.signature(target).parameters.values())
        except (ValueError, TypeError):
            return ANYTHING

    @classmethod
    def of_parameters(cls, parameters: Iterable[inspect.Parameter]) -> Accepts:
        """The arguments that some parameters make up.

        Example:
            >>> Accepts.of_parameters([inspect.Parameter("x", _BY_NAME[1])]).required
            ('x',)
        """
        parameters = list(parameters)
        fixed = [p for p in parameters if p.kind in (*_BY_POSITION, *_BY_NAME)]
        return cls(
            positional=tuple(p.name for p in fixed if p.kind in _BY_POSITION),
            names=tuple(p.name for p in fixed if p.kind in _BY_NAME),
            required=tuple(p.name for p in fixed if p.default is inspect.Parameter.empty),
            any_count=any(p.kind is p.VAR_POSITIONAL for p in parameters),
            any_name=any(p.kind is p.VAR_KEYWORD for p in parameters),
            types={
                p.name: inspect.formatannotation(p.annotation)
                if not isinstance(p.annotation, str)
                else p.annotation
                for p in fixed
                if p.annotation is not inspect.Parameter.empty
            },
            defaults={p.name: p.default for p in fixed if is_json(p.default)},
        )

    def problems(
        self, params: Iterable[str], passed: tuple[str, ...] = (), also: tuple[str, ...] = ()
    ) -> list[Finding]:
        """What is wrong with a call that passes `passed` by position and `params` by name.

        Args:
            params: the names that the config gives.
            passed: what Barrage itself passes by position, in words for messages.
            also: names that Barrage itself passes by keyword if they are accepted.

        Example:
            >>> accepts = Accepts.of(lambda mode, inputs, outputs=None: None)
            >>> [str(p) for p in accepts.problems(["input", "mode"], ("mode",))]
            ["unknown param 'input'; did you mean 'inputs'?", "param 'mode' is passed by Barrage; \
remove it"]
        """
        params = list(params)
        taken = {*self.positional[: len(passed)], *also}
        found: list[Finding] = []
        if len(passed) > len(self.positional) and not self.any_count:
            given = ", ".join(passed)
            message = f"it must accept ({given}) by position, but accepts {self.shown()}"
            found.append(Finding((), message))
        open_names = [name for name in self.names if name not in taken]
        left = [name for name in open_names if name not in params]
        meant: set[str | None] = set()
        for name in params:
            if name in taken:
                message, remedy = f"param {name!r} is passed by Barrage", "remove it"
            elif name not in open_names and not self.any_name:
                meant.add(nearest(name, left))
                message = f"unknown param {name!a}"
                remedy = suggest(name, open_names, "params", params)
            else:
                continue
            found.append(Finding(("params", name), message, remedy, is_key=True))
        # A mistyped param is one fault, not also the lack of the right one.
        missing = [name for name in self.required if name not in {*taken, *params, *meant}]
        if missing:
            plural = "s" if len(missing) > 1 else ""
            found.append(Finding((), f"missing param{plural} {show_names(missing)}"))
        return found

    def passed(self, kind: Kind) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What Barrage passes to a component of a kind: by position, and by name.

        A function that is used as such gets everything by position; else what has a name here is
        passed by it, in whatever order they stand.

        Example:
            >>> from barrage_mlflow.config.component_kinds import KINDS
            >>> Accepts.of(lambda loader, mode: None).passed(KINDS["transformer"])
            ((), ('mode', 'loader'))
            >>> Accepts.of(lambda m, size=1: None).passed(KINDS["loader"])
            (('mode',), ())
        """
        names, first = {*kind.passed}, {*self.positional[: len(kind.passed)]}
        hands_on = self.any_name and not self.any_count and first <= names
        if kind.bases and (names <= {*self.names} or hands_on):
            return (), kind.passed + kind.passed_by_name
        return kind.passed, kind.passed_by_name

    def without(self, names: Container[str | None]) -> Accepts:
        """What is left to be given by keyword once some names have a value.

        Example:
            >>> Accepts.of(lambda mode, size=1: None).without(["mode"]).names
            ('size',)
        """
        return replace(
            self,
            names=tuple(name for name in self.names if name not in names),
            required=tuple(name for name in self.required if name not in names),
            types={name: text for name, text in self.types.items() if name not in names},
            defaults={name: value for name, value in self.defaults.items() if name not in names},
        )

    def shown(self) -> str:
        """The arguments as a message shows them.

        Example:
            >>> Accepts.of(lambda mode, *, rate=1, **rest: None).shown()
            '(mode, rate, **)'
        """
        names = list(dict.fromkeys((*self.positional, *self.names)))
        stars = ["*"] * self.any_count + ["**"] * self.any_name
        return f"({', '.join([*names, *stars])})"


ANYTHING = Accepts(any_count=True, any_name=True)
"""What is accepted as far as is known where there is no signature to read."""


def is_json(value: object) -> bool:
    """Whether a default can be written in a config: null, a plain value, or a list of such.

    Example:
        >>> is_json([1, None]), is_json((1, 2)), is_json(float)
        (True, False, False)
    """
    if isinstance(value, list):
        return all(map(is_json, value))
    if isinstance(value, float):
        return value - value == 0
    return value is None or type(value) in (bool, int, str)


@dataclass(frozen=True)
class Target:
    """What an import string means.

    Attributes:
        path: its Python path, ``"keras.losses.MeanSquaredError"``; the alias itself for one whose
            class depends on the shapes.
        form: ``"class"``, ``"function"`` or ``"alias"``; of what is none of them, what it is in
            words, ``"a module"``.
        accepts: the arguments that it takes.
        kinds: the kinds of component that a class can be, by its base classes.
        abstract: the methods that a class still has to define.
        name: the name that a loss or metric of Keras's gives itself.
        direction: of a loss or metric of Keras's, whether ``"min"`` or ``"max"`` is better; empty
            if neither.
        doc: the first line of its docstring, of Keras's excepted.
        returns: the annotation of what a function returns.
        network_param_names: what a transformer declares under this name; None if nothing, or
            nothing that can be read.
        names: what a config can write for it, where that was asked for.
    """

    path: str
    form: str
    accepts: Accepts = field(default_factory=Accepts)
    kinds: tuple[str, ...] = ()
    abstract: tuple[str, ...] = ()
    name: str = ""
    direction: str = ""
    doc: str = ""
    returns: str = ""
    network_param_names: tuple[str, ...] | None = None
    names: tuple[str, ...] = ()

    @property
    def takes_learnt(self) -> bool:
        """Whether it is passed what the transformer learns: all but Keras's own are."""
        return not self.path.startswith("keras.")


def check_path(path: str) -> None:
    """Makes sure that a path is made of names and dots, and leads into no script.

    Raises:
        ImportPathError: it is not, or does.

    Example:
        >>> check_path("shop.Loader")
    """
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in path.split(".")):
        message = f"{path!a} is not a Python path"
        raise ImportPathError(message, "write it as package.module.Name")
    if path.startswith("__main__."):
        message = f"{path!r} is in a script, which no packaged model can bring along"
        raise ImportPathError(message, "move it to a module, a file of its own, and name that")


def no_module(path: str, search_path: Iterable[str]) -> ImportPathError:
    """The error for a path whose first module is not on the Python path.

    Example:
        >>> no_module("kears.Model", []).remedy
        "did you mean 'keras'?"
    """
    first = path.partition(".")[0]
    known = {*own_modules(search_path), *ENGINE} - {first}
    message = f"{path!r} leads nowhere: no module {first!r} on the Python path"
    return ImportPathError(message, did_you_mean(first, known))


def leads_nowhere(path: str, holder: str, part: str, names: Iterable[str]) -> ImportPathError:
    """The error for a path of which one part is not there.

    Args:
        path: the whole path.
        holder: the path up to where it still leads.
        part: the name that is not there.
        names: the names that the holder has.

    Example:
        >>> leads_nowhere("shop.Lodaer", "shop", "Lodaer", ["Loader"]).remedy
        "did you mean 'Loader'?"
    """
    message = f"{path!r} leads nowhere: {holder!r} has no {part!r}"
    return ImportPathError(message, suggest(part, names, "names"))
