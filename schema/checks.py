"""What inputs must be. The checks stand at the members they are for; one pass gives every error, in member order.

Both doors use them: GraphQL after its coercion, REST while it reads a body, so that a sentence is written once.
"""

import dataclasses
import inspect
import re
import types
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cache, cached_property
from itertools import islice
from typing import Any, Final, Protocol, Union, get_args, get_origin, get_type_hints

import email_validator
import idna
import strawberry
from strawberry.types.arguments import StrawberryArgumentAnnotation

from schema import countries, ids
from schema.errors import invalid_fields, sentence

MAX_ITEMS = 500
MAX_ERRORS = 100
"""So many are told: an answer must not outgrow its request."""

# E-mail is checked by form only: addresses of test and private domains are addresses too.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


class Check(Protocol):
    """Returns the value as it is to be used, or raises ValueError with the reason: "must be …"."""

    def __call__(self, value: Any) -> Any: ...


@dataclasses.dataclass(frozen=True)
class Text:
    """A string, trimmed; one that is empty then counts as null."""

    most: int = 255
    least: int = 0
    trim: bool = True

    def __call__(self, value: str) -> str | None:
        if self.trim:
            value = value.strip()
        if not value:
            return None
        if "\0" in value:
            raise ValueError("must not contain the NUL character")
        if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
            raise ValueError("must not contain lone surrogates")
        if len(value) < self.least:
            raise ValueError(f"must be at least {self.least} characters")
        if len(value) > self.most:
            raise ValueError(f"must be at most {self.most:,} characters")
        return value


_text = Text()


def email_address(value: str) -> str | None:
    text = _text(value)
    if text is None:
        return None
    try:
        email_validator.validate_email(text, check_deliverability=False, globally_deliverable=False)
    except email_validator.EmailNotValidError:
        raise ValueError("must be a valid email address") from None
    if len(text.casefold()) > _text.most:  # so it is stored to be compared, and one letter may become three
        raise ValueError(f"must be at most {_text.most} characters when case-folded")
    return text


def country_code(value: str) -> str | None:
    text = _text(value)
    if text is None:
        return None
    code = countries.alpha2(text)
    if code is None:
        raise ValueError("must be an ISO 3166-1 country code such as US or USA")
    return code


_JOINERS = "\u200c\u200d"
"""Zero-width characters that some scripts need; idna checks where they may stand."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII | re.IGNORECASE)


def host_name(value: str) -> str | None:
    """A host name by form, internationalised ones too; shown as it was given."""
    text = _text(value)
    if text is None:
        return None
    reason = "must be a host name such as example.com"
    if any(unicodedata.category(char) == "Cf" and char not in _JOINERS for char in text):
        raise ValueError(reason)  # invisible: two names that look the same
    try:
        plain = text if text.isascii() else idna.encode(text, uts46=True).decode()
    except idna.IDNAError:
        raise ValueError(reason) from None
    labels = plain.removesuffix(".").split(".")
    if len(plain) > 253 or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(reason)
    if labels[-1].isdigit():
        raise ValueError(reason)
    return text


@dataclasses.dataclass(frozen=True)
class Reference:
    """The id of an object of one type."""

    kind: ids.Kind

    def __call__(self, value: object) -> int:
        return value if isinstance(value, int) else ids.read(self.kind, str(value))


@dataclasses.dataclass(frozen=True)
class Between:
    """An integer within bounds."""

    least: int
    most: int

    def __call__(self, value: int) -> int:
        if not self.least <= value <= self.most:
            raise ValueError(f"must be from {self.least:,} to {self.most:,}")
        return value


def moment(value: datetime | date) -> datetime:
    """A time; a bare date is not one."""
    if not isinstance(value, datetime):
        raise ValueError("must be a time (RFC 3339) such as 2026-01-31T12:00:00Z")
    return value


@dataclasses.dataclass(frozen=True)
class Shape:
    """The members of an input type or the arguments of a root field."""

    members: dict[str, "Member"]
    make: Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Member:
    """One member: its plain type, whether it may be null or absent, its check, the shape of what it holds, its doc."""

    name: str
    type: Any
    nullable: bool
    required: bool
    many: bool
    check: Check | None
    shape: Shape | None
    description: str

    @cached_property
    def item(self) -> "Member":
        """One of the many that a list holds."""
        return dataclasses.replace(self, many=False, nullable=False)


@cache
def shape_of(input_type: type) -> Shape:
    """The shape of a Strawberry input type."""
    hints = get_type_hints(input_type, include_extras=True)
    members = {}
    for field in dataclasses.fields(input_type):
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        members[field.name] = _member(field.name, hints[field.name], required, getattr(field, "description", None))
    return Shape(members, input_type)


def shape_of_arguments(function: Callable[..., Any]) -> Shape:
    """The shape of a root field's arguments: the parameters after the context."""
    hints = get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    members = {p.name: _member(p.name, hints[p.name], p.default is inspect.Parameter.empty) for p in parameters}
    return Shape(members, dict)


class Read(Protocol):
    """Turns what a caller wrote into the member's Python type, or raises ValueError with the reason."""

    def __call__(self, member: Member, value: Any) -> Any: ...


def clean(shape: Shape, values: Mapping[str, Any]) -> Any:
    """Coerced values as they are to be used; raises one error that names every member that is wrong."""
    cleaned, errors = _clean(shape, values, "", None)
    if errors:
        raise invalid_fields(errors)
    return shape.make(**cleaned)


def read(shape: Shape, values: Mapping[str, Any], read: Read) -> dict[str, Any]:
    """The same from what a caller wrote: values are read first, and members that are not known are refused."""
    cleaned, errors = _clean(shape, values, "", read)
    if errors:
        raise invalid_fields(dict(islice(errors.items(), MAX_ERRORS)))
    return cleaned


def _clean(
    shape: Shape, values: Mapping[str, Any], prefix: str, read: Read | None
) -> tuple[dict[str, Any], dict[str, str]]:
    cleaned: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, member in shape.members.items():
        value = values.get(name, strawberry.UNSET)
        path = prefix + name
        if value is not strawberry.UNSET:
            cleaned[name] = _clean_value(member, value, path, errors, read)
        elif member.required:
            errors[path] = sentence(path, "is required")
    if read is not None:
        unknown = (prefix + name for name in values if name not in shape.members)
        errors |= {path: sentence(path, "is not known") for path in islice(unknown, MAX_ERRORS)}
    return cleaned, errors


def _clean_value(member: Member, value: Any, path: str, errors: dict[str, str], read: Read | None) -> Any:
    try:
        if value is None:
            checked = None
        elif member.many:
            return _clean_list(member, value, path, errors, read)
        elif member.shape is not None:
            return _clean_nested(member.shape, value, path, errors, read)
        else:
            checked = value if read is None else read(member, value)
            if member.check is not None and checked is not None:
                checked = member.check(checked)
    except ValueError as error:
        errors[path] = sentence(path, str(error))
        return None
    if checked is None and not member.nullable:
        errors[path] = sentence(path, "is required")
    return checked


def _clean_list(member: Member, value: Any, path: str, errors: dict[str, str], read: Read | None) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("must be an array")
    if not 1 <= len(value) <= MAX_ITEMS:
        raise ValueError(f"must have from 1 to {MAX_ITEMS} items")
    one = member.item
    cleaned: list[Any] = []
    for place, item in enumerate(value):
        if len(errors) >= MAX_ERRORS:
            break
        cleaned.append(_clean_value(one, item, f"{path}[{place}]", errors, read))
    return cleaned


def _clean_nested(shape: Shape, value: Any, path: str, errors: dict[str, str], read: Read | None) -> Any:
    if read is not None and not isinstance(value, dict):
        raise ValueError("must be an object")
    prefix = "" if path in _TRANSPARENT else f"{path}."
    if isinstance(value, dict):
        cleaned, wrong = _clean(shape, value, prefix, read)
        errors |= wrong
        return cleaned if read is not None else None if wrong else shape.make(**cleaned)
    cleaned, wrong = _clean(shape, vars(value), prefix, read)
    errors |= wrong
    vars(value).update(cleaned)  # it was made for this alone
    return value


_TRANSPARENT = ("input", "filter")
"""Arguments whose members callers know by their own names."""


def _member(name: str, hint: Any, required: bool, description: str | None = None) -> Member:
    check: Check | None = None
    nullable = many = never_null = False
    while True:  # from the outside in: Annotated[list[X | None], check]
        if hasattr(hint, "__metadata__"):
            check = check or next((part for part in hint.__metadata__ if callable(part)), None)
            never_null = never_null or NEVER_NULL in hint.__metadata__
            description = description or next(
                (part.description for part in hint.__metadata__ if isinstance(part, StrawberryArgumentAnnotation)), None
            )
            hint = get_args(hint)[0]
        elif get_origin(hint) in (Union, types.UnionType):
            nullable = type(None) in get_args(hint)
            hint = next(part for part in get_args(hint) if part is not type(None))
        elif get_origin(hint) is list:
            many = True
            hint = get_args(hint)[0]
        else:
            break
    nested = shape_of(hint) if dataclasses.is_dataclass(hint) and isinstance(hint, type) else None
    if check is None and hint is str:
        check = _text
    return Member(name, hint, nullable and not never_null, required, many, check, nested, description or "")


NEVER_NULL: Final = "never null"
"""Marks a member that may be left out and yet never be null, which GraphQL's types cannot say."""
