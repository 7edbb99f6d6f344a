"""What a schema may promise of its fields, so that less has to be prepared for them.

A promise stands in a field's `extensions[PROMISE]`, beside its resolver, and must give what that gives. What is
promised is read without a GraphQLResolveInfo, and its values are not asked whether they are awaitable or exceptions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

PROMISE: Final = "executor"


def _as_given(arguments: dict[str, Any]) -> Any:
    return arguments


@dataclass(frozen=True)
class Reads:
    """A field without arguments that is read from its object alone, at once."""

    attribute: str | None = None
    """The attribute that holds it; or else `function` reads it."""
    function: Callable[[Any], Any] | None = None
    """Reads it from the object; where there is an attribute, makes it of that, unless it is None."""


@dataclass(frozen=True)
class Calls:
    """A field that takes no more than its object, the context and its arguments."""

    function: Callable[[Any, Any, Any], Any]
    """Called with the object, the context, and what `prepare` has made."""
    prepare: Callable[[dict[str, Any]], Any] = _as_given
    """Makes of the arguments, as graphql-core coerced them, what the function takes: once for all objects."""
    waits: bool = True
    """Whether it gives an awaitable, rather than a value."""


@dataclass(frozen=True)
class TellsType:
    """Promised by an interface or a union: the name of an object's type is found from the object alone."""

    function: Callable[[Any], str]
