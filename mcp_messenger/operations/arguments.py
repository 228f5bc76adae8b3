"""Reads arguments as models write them: a list or an object as a JSON text, and an empty text or null for an argument that is left out."""

import json
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Protocol, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from providers.kit.json_size import oversize


@dataclass(frozen=True)
class ArgumentShapes:
    """The types of an input's arguments. `structured` has those that are lists or objects and no texts, with the type of each."""

    structured: Mapping[str, tuple[type, ...]]
    optional: frozenset[str]
    nullable: frozenset[str]
    takes_empty: frozenset[str]
    """Optional ones of which an empty text does not mean none."""

    def read(self, name: str, value: object) -> object:
        """Return the list or object that a JSON text holds, where the argument is one; any other value as it is."""
        wanted = self.structured.get(name)
        if wanted is None or not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
            return value
        if oversize(value) is not None:
            return value
        try:
            found: object = json.loads(value)
        except (ValueError, RecursionError):
            return value
        return found if isinstance(found, wanted) else value

    def is_absent(self, name: str, value: object) -> bool:
        """Return whether an optional argument was given without a value."""
        if name not in self.optional:
            return False
        return (value is None and name not in self.nullable) or (value == "" and name not in self.takes_empty)


class HasArguments(Protocol):
    model_fields: ClassVar[dict[str, FieldInfo]]
    takes_empty: ClassVar[frozenset[str]]


@cache
def argument_shapes(shape: type[HasArguments]) -> ArgumentShapes:
    """Return what the fields of an input may be."""
    kinds = {name: frozenset(_kinds(info.annotation)) for name, info in shape.model_fields.items()}
    structured = {name: (list if list in found else dict,) for name, found in kinds.items() if found & {list, dict} and str not in found}
    optional = frozenset(name for name, info in shape.model_fields.items() if not info.is_required())
    return ArgumentShapes(
        structured=structured,
        optional=optional,
        nullable=frozenset(name for name, found in kinds.items() if type(None) in found),
        takes_empty=shape.takes_empty,
    )


def _kinds(annotation: Any) -> Iterator[type]:
    """Yield the plain types of an annotation: list, dict (also for a model), NoneType, and all else as it is."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for choice in get_args(annotation):
            yield from _kinds(choice)
    elif isinstance(origin, type):
        yield list if issubclass(origin, list | tuple | set | frozenset) else dict if issubclass(origin, Mapping) else origin
    elif isinstance(annotation, type):
        yield dict if issubclass(annotation, BaseModel) else annotation
