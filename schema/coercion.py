"""GraphQL's own words for a value that does not fit, in ours: by name, and without the value, which may be a secret."""

import re
from importlib import import_module

from schema.errors import Code, DomainError, invalid_fields, sentence

_AT = re.compile(r"invalid value at \.?([\w.\[\]]+):")
_ECHO = re.compile(r"[,;] found: .*|(?<=String cannot represent a non string value): .*", re.DOTALL)
_REASONS = (
    (re.compile(r"required field '(\w+)'"), "is required"),
    (re.compile(r"unknown field '(\w+)'"), "is not known"),
    (re.compile(r"of non-null type"), "is required"),
    (re.compile(r"encountered error '(must .*?)'(?:;|$)", re.DOTALL), None),
)

MOST = 1_000
"""So many characters of graphql-core's words are told."""

# Nothing of a value is told, so nothing of it is printed: each error of a large value would print the whole of it.
_printing = import_module("graphql.utilities.validate_input_value")
_printing.inspect = _printing.print_for_error = lambda _: "a value"  # type: ignore[attr-defined]


def refused_value(message: str) -> DomainError:
    """The error for a message of graphql-core: with the member and the contract's sentence where it names one."""
    text = _ECHO.sub("", message)  # first, so that nothing of the value is taken for graphql-core's own words
    text = text if len(text) <= MOST else f"{text[:MOST]}…"
    at = _AT.search(text)
    path = _snake(at.group(1)) if at else ""
    for pattern, reason in _REASONS:
        found = pattern.search(text)
        if found is None:
            continue
        if reason is None and path:
            return invalid_fields({path: sentence(path, found.group(1))})
        if reason is not None:
            member = _snake(found.group(1)) if pattern.groups else ""
            whole = ".".join(part for part in (path, member) if part)
            if whole:
                return invalid_fields({whole: sentence(whole, reason)})
    if path:
        return DomainError(Code.VALIDATION_ERROR, text, fields={path: text})
    return DomainError(Code.VALIDATION_ERROR, text)


def _snake(path: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f"_{found.group(1).lower()}", path)
