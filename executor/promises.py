"""What a schema may promise of its fields, so that less has to be prepared for them.

A promise stands in a field's `extensions[PROMISE]`, beside its resolver, and must give what that gives. What is
promised is read without a GraphQLResolveInfo, and its values are not asked whether they are awaitable or exceptions.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

PROMISE: Final = "executor"


def _as_given(arguments: dict[str, Any]) -> Any:
    return arguments


Columns = tuple[str, ...] | None
"""Attributes of objects that are read, and no others; None where that is not known, or more than attributes."""


@dataclass(frozen=True)
class Reads:
    """A field without arguments that is read from its object alone, at once."""

    attribute: str | None = None
    """The attribute that holds it; or else `function` reads it from the object."""
    function: Callable[..., Any] | None = None
    """Makes it of the attribute, unless that is None."""
    beside: tuple[str, ...] = ()
    """Other attributes that the function is called with."""
    is_typed: bool = False
    """Whether it is never of another type than the field: None, or told as it is."""
    is_plain: bool = False
    """Whether a plain operation tells the attribute as it is, and makes nothing of it."""

    @property
    def columns(self) -> Columns:
        """The attributes that are read."""
        return None if self.attribute is None else (self.attribute, *self.beside)


@dataclass(frozen=True)
class Calls:
    """A field that takes no more than its object, the context and its arguments."""

    function: Callable[[Any, Any, Any], Any]
    """Called with the object, the context, and what `prepare` has made."""
    prepare: Callable[[dict[str, Any]], Any] = _as_given
    """Makes of the arguments, as graphql-core coerced them, what the function takes: once for all objects."""
    waits: bool = True
    """Whether it gives an awaitable, rather than a value."""
    needs: Columns = None
    """The attributes of the object that it reads."""
    of: str | None = None
    """The type of the objects that it leads to, if it asks what is read of them: then it is called with their columns
    as well."""


@dataclass(frozen=True)
class Gathers:
    """A field that leads on from many objects at once."""

    function: Callable[[list[Any], Any, Any, Columns], Awaitable[Sequence[Any]]]
    """Called with the attribute of each object, the context, what `prepare` has made, and what is read of the objects
    that it leads to. Gives a value or an exception for each, in their order."""
    attribute: str | None
    """The one that says where it leads to; None for the object itself."""
    prepare: Callable[[dict[str, Any]], Any] = _as_given
    of: str | None = None
    """The type of the objects that it leads to."""


@dataclass(frozen=True)
class TellsType:
    """Promised by an interface or a union: the name of an object's type is found from the object alone."""

    function: Callable[[Any], str]
