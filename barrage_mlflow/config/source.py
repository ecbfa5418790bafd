"""The project's modules as their source describes them: read with griffe, never run.

Checking a config must not run its project: that would import TensorFlow, take seconds and have
effects. What only running can answer (a name that is made at run time, a compiled module) ends in
`UnreadableError`, and the caller imports after all.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.project import modules_in, search_path
from barrage_mlflow.config.signatures import Accepts
from barrage_mlflow.config.targets import NotImportableError, Target, leads_nowhere, no_module

if TYPE_CHECKING:
    import griffe

_MAKES_NAMES = ("globals(", "__dict__", "sys.modules", "setattr(", "__getattr__")
_BASES_OF_NOTHING = {
    "object", "abc.ABC", "typing.Generic", "typing.Protocol",
    "typing_extensions.Generic", "typing_extensions.Protocol",
}  # fmt: skip
_KEEPS_THE_SIGNATURE = {
    "keras.saving.register_keras_serializable", "keras.utils.register_keras_serializable",
    "tensorflow.keras.utils.register_keras_serializable",
    "typing.final", "typing.override", "typing_extensions.override", "abc.abstractmethod",
    "functools.cache", "functools.lru_cache", "tensorflow.function",
}  # fmt: skip
"""Decorators after which a class or function still takes what its source shows."""
_NOT_READ = ("keras", "tensorflow", "barrage_mlflow")
"""Packages of which all that counts is in the index."""
_PARAMETER_KINDS = (
    inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.KEYWORD_ONLY,
    inspect.Parameter.VAR_KEYWORD,
)  # fmt: skip
_HOPS = 20
"""Imports and base classes that are followed before giving up."""


class UnreadableError(Exception):
    """Only importing the code can answer."""


class SourceReader:
    """Reads modules, each once.

    Args:
        folders: a project's, which are looked in besides the Python path.
        strict: whether arguments that cannot be read are an error; else anything is accepted.

    Example:
        >>> reader = SourceReader()
        >>> reader.target("json.decoder.JSONDecoder").accepts.names[:2]
        ('object_hook', 'parse_float')
    """

    def __init__(self, folders: Sequence[str] = (), *, strict: bool = True) -> None:
        self.search_path = search_path(folders)
        self.strict = strict
        self._modules: dict[str, griffe.Module | None] = {}

    def target(self, path: str) -> Target:
        """What a path means.

        Raises:
            NotImportableError: it leads nowhere.
            UnreadableError: only importing it can answer.
        """
        return self._described(self._find(path))

    def public(self, name: str) -> Iterator[tuple[str, Target]]:
        """The classes and functions that a module defines, and those that a package hands on.

        What cannot be read is left out.

        Args:
            name: a module.

        Yields:
            The path that each is found at, and what it is.
        """
        module = self.module(name)
        members = [member for member in (module.members if module else ()) if member[:1] != "_"]
        for member in members:
            path = f"{name}.{member}"
            try:
                target = self.target(path)
            except (UnreadableError, NotImportableError):
                continue
            own = target.path == path or (module is not None and module.is_init_module)
            if own and target.form in ("class", "function"):
                yield path, target

    def module(self, name: str) -> griffe.Module | None:
        """The source of a module; None if there is no module of that name.

        Raises:
            UnreadableError: it is not written in Python.

        Example:
            >>> SourceReader().module("json.no_such") is None
            True
        """
        if name not in self._modules:
            self._modules[name] = self._read(name)
        return self._modules[name]

    def modules_in(self, name: str) -> set[str]:
        """The names of the modules in a package; none if it is a plain module."""
        module = self.module(name)
        return modules_in(_folders(module) or ()) if module else set()

    def _read(self, name: str) -> griffe.Module | None:
        import griffe

        above, _, last = name.rpartition(".")
        parent = self.module(above) if above else None
        folders = _folders(parent) if parent else self.search_path
        if folders is None or (above and parent is None):
            return None
        try:
            spec = PathFinder.find_spec(last, folders)
            if spec is None and not above:
                spec = importlib.util.find_spec(last)
        except (ImportError, ValueError) as error:  # a module made by hand has no spec
            raise UnreadableError(name) from error
        if spec is None:
            return None
        if spec.origin is None:
            places = [Path(place) for place in spec.submodule_search_locations or ()]
            return griffe.Module(last, filepath=places, parent=parent)
        file = Path(spec.origin)
        if file.suffix != ".py":
            raise UnreadableError(f"{name!r} is not written in Python")
        lines = griffe.LinesCollection()
        try:
            code = importlib.util.decode_source(file.read_bytes())
            lines[file] = code.splitlines()
            return griffe.visit(
                last, file, code, extensions=griffe.Extensions(), parent=parent,
                lines_collection=lines,
            )  # fmt: skip
        except (OSError, SyntaxError, ValueError, RecursionError) as error:
            raise UnreadableError(name) from error

    def _find(self, path: str, hops: int = _HOPS) -> griffe.Object | Target:
        """What is at a path, imports followed from module to module."""
        # Unlike a config's, older paths in source mean what they meant.
        path = path.removeprefix("tensorflow.") if path.startswith("tensorflow.keras.") else path
        known = keras_index.at(path)
        if known is not None:
            return known
        first, *parts = path.split(".")
        if hops == 0 or first in _NOT_READ:
            raise UnreadableError(path)
        found: griffe.Object | None = self.module(first)
        if found is None:
            raise no_module(path, self.search_path)
        for i, part in enumerate(parts):
            holder, rest = found, parts[i + 1 :]
            # As in "from a.b import C": a module on the way, but rather what it binds last.
            found = self.module(f"{holder.path}.{part}") if holder.is_module and rest else None
            if found is None:
                member = self._member(holder, part, hops)
                elsewhere = _leads_to(member)
                if elsewhere:
                    return self._elsewhere(".".join([elsewhere, *rest]), hops)
                found = member
            if found is None and holder.is_module:
                found = self.module(f"{holder.path}.{part}")
            if found is None:
                names = [name for name in holder.members if name[:1] != "_" and "/" not in name]
                if holder.is_module:
                    names += self.modules_in(holder.path)
                raise leads_nowhere(path, holder.path, part, sorted(names), holder.kind.value)
        return found

    def _elsewhere(self, path: str, hops: int = _HOPS) -> griffe.Object | Target:
        try:
            return self._find(path, hops - 1)
        except NotImportableError as error:
            # The import itself would fail, and Python's own message is the best one then.
            raise UnreadableError(path) from error

    def _member(self, holder: griffe.Object, name: str, hops: int) -> Any:
        """What a module or class binds to a name, None if nothing."""
        member: Any = holder.members.get(name)
        if member is None and holder.is_class:
            raise UnreadableError(f"{holder.path}.{name}")  # it may be inherited
        if member is not None and _is_conditional(member, holder):
            raise UnreadableError(f"{holder.path}.{name}")
        members: list[Any] = list(holder.members.values()) if member is None and hops else []
        for star in [one for one in members if one.is_alias and one.wildcard]:
            other = self.module(star.target_path)
            if other is None:
                raise UnreadableError(star.target_path)
            member = self._member(other, name, hops - 1)
            if member is not None:
                break
        if member is None and holder.is_module and any(m in holder.source for m in _MAKES_NAMES):
            raise UnreadableError(f"{holder.path}.{name}")
        return member

    def _described(self, found: Any) -> Target:
        if isinstance(found, Target):
            return found
        if found.is_module:
            return Target(found.path, "a module")
        doc = found.docstring.value.partition("\n")[0] if found.docstring else ""
        if found.is_class:
            return replace(self._class(found), doc=doc)
        if found.is_function:
            accepts, returns = self._arguments(found), str(found.returns or "")
            return Target(found.path, "function", accepts, doc=doc, returns=returns)
        value = _literal(found.value)
        if value is ...:
            raise UnreadableError(found.path)
        return Target(found.path, f"of type {type(value).__name__}")

    def _class(self, found: griffe.Class) -> Target:
        family = self._family(found)
        lacking: dict[str, bool] = {}
        names = None
        for one in reversed(family):
            if isinstance(one, Target):
                lacking |= dict.fromkeys(one.abstract, True)
                names = one.network_param_names
                continue
            for name, member in one.members.items():
                if member.labels != {"instance-attribute"}:
                    lacking[name] = "abstractmethod" in member.labels
            if "network_param_names" in one.members:
                names = self._strings(one.members["network_param_names"])
        return Target(
            found.path,
            "class",
            self._arguments(found),
            tuple(dict.fromkeys(k for one in family if isinstance(one, Target) for k in one.kinds)),
            tuple(sorted(name for name, is_abstract in lacking.items() if is_abstract)),
            network_param_names=names,
        )

    def _family(self, found: griffe.Class, hops: int = _HOPS) -> list[griffe.Class | Target]:
        """A class and all that it derives from, in the order in which Python looks."""
        metaclass = str(found.keywords.get("metaclass", "ABCMeta")).rpartition(".")[2]
        if metaclass != "ABCMeta" or hops == 0:
            raise UnreadableError(found.path)
        family: list[griffe.Class | Target] = [found]
        for base in found.bases:
            path = base if isinstance(base, str) else base.canonical_path
            if path in _BASES_OF_NOTHING:
                continue
            # A name without dots is one that a star import brings, if any.
            parent: Any = self._elsewhere(path if "." in path else f"{found.module.path}.{path}")
            if isinstance(parent, Target) and parent.form == "class":
                family.append(parent)
            elif not isinstance(parent, Target) and parent.is_class:
                family += self._family(parent, hops - 1)
            else:
                raise UnreadableError(path)
        # A base that two of them share comes after both.
        return [one for i, one in enumerate(family) if one not in family[i + 1 :]]

    def _arguments(self, found: Any) -> Accepts:
        try:
            _check_decorators(found)
            return _accepts(found) if found.is_function else self._constructor(self._family(found))
        except UnreadableError:
            if self.strict:
                raise
            return Accepts(any_count=True, any_name=True)

    def _constructor(self, family: list[griffe.Class | Target]) -> Accepts:
        for i, one in enumerate(family):
            if isinstance(one, Target):
                return one.accepts
            init: Any = one.members.get("__init__")
            if "__new__" in one.members or (init is not None and not init.is_function):
                raise UnreadableError(one.path)
            if init is not None:
                _check_decorators(init)
                own = _accepts(init, bound=True)
                call = _handed_on(init) if own.any_name else None
                if call is None:
                    return own
                return _joined(own, call, self._constructor(family[i + 1 :]))
        return Accepts()

    def _strings(self, attribute: Any) -> tuple[str, ...] | None:
        """The value of a class attribute that is written as a list or tuple of strings."""
        if _leads_to(attribute):
            attribute = self._elsewhere(_leads_to(attribute))
        value = _literal(getattr(attribute, "value", ...))
        is_list = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
        return tuple(value) if is_list else None


def _folders(module: griffe.Module) -> list[str] | None:
    """Where the modules of a package are; None for a plain module."""
    if isinstance(module.filepath, list):
        return [str(place) for place in module.filepath]
    return [str(module.filepath.parent)] if module.is_init_module else None


def _is_conditional(member: Any, holder: griffe.Object) -> bool:
    """Whether a name is bound within an ``if``, a ``try`` or a loop."""
    number = member.alias_lineno if member.is_alias else member.lineno
    return holder.is_module and bool(number) and holder.lines[number - 1][:1].isspace()


def _leads_to(member: Any) -> str:
    """The path that an import, or another name for something, leads to; else empty."""
    if member is None:
        return ""
    if member.is_alias:
        return str(member.target_path)
    is_name = member.is_attribute and type(member.value).__name__ in ("ExprName", "ExprAttribute")
    return str(member.value.canonical_path) if is_name else ""


def _check_decorators(found: Any) -> None:
    for decorator in found.decorators:
        if decorator.callable_path not in _KEEPS_THE_SIGNATURE:
            raise UnreadableError(found.path)


def _literal(expression: Any) -> Any:
    """The value of an expression; ``...`` where it is no literal."""
    try:
        return ast.literal_eval(str(expression))
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return ...


def _accepts(function: griffe.Function, bound: bool = False) -> Accepts:
    """The arguments of a function; of a method that is bound, without the first."""
    parameters = []
    for param in list(function.parameters)[1 if bound else 0 :]:
        kind = next(kind for kind in _PARAMETER_KINDS if kind.description == param.kind.value)
        made = inspect.Parameter(param.name, kind)
        if param.annotation is not None:
            made = made.replace(annotation=str(param.annotation))
        if param.default is not None and kind not in (made.VAR_POSITIONAL, made.VAR_KEYWORD):
            made = made.replace(default=_literal(param.default))
        parameters.append(made)
    return Accepts.of_parameters(parameters)


def _handed_on(init: griffe.Function) -> ast.Call | None:
    """The call of the next constructor, if it alone gets the ``**kwargs`` of this one."""
    tree = ast.parse(init.source)
    name = next(p.name for p in init.parameters if p.kind and p.kind.name == "var_keyword")
    uses = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == name]
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
            stars = [word.value for word in call.keywords if word.arg is None]
            if len(uses) == 1 and stars == uses:
                return call
    return None


def _joined(own: Accepts, call: ast.Call, below: Accepts) -> Accepts:
    """What a constructor takes that hands its ``**kwargs`` on to the next one."""
    given = {word.arg for word in call.keywords if word.arg}
    given |= {*below.positional[: len(call.args)], *own.names}
    names = tuple(name for name in below.names if name not in given)
    return replace(
        own,
        names=own.names + names,
        required=own.required + tuple(name for name in below.required if name in names),
        any_name=below.any_name,
        types={**own.types, **{n: text for n, text in below.types.items() if n in names}},
        defaults={**own.defaults, **{n: d for n, d in below.defaults.items() if n in names}},
    )
