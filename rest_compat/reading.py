"""Reading REST: JSON bodies and query strings into the values of GraphQL variables, with the contract's sentences."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl

from rest_compat.plans import Plan
from schema import checks, money
from schema.checks import Member
from schema.connections import LARGEST_OFFSET, LISTS, read_cursor, sort_of
from schema.errors import Code, DomainError, invalid, invalid_fields, sentence
from schema.limits import MAX_PAGE
from schema.scalars import read_date, read_moment, write_time

PREFIX = "/api/v1"

PAGE_PARAMETERS = ("per_page", "page", "cursor", "sort", "total")


def read_body(plan: Plan, body: object) -> dict[str, Any]:
    """The variables of a command: its body's members, checked."""
    if not isinstance(body, dict):
        raise DomainError(Code.VALIDATION_ERROR, "The request body must be a JSON object.")
    values = checks.read(plan.body, body, read_value)
    variables: dict[str, Any] = {}
    for name, member in plan.root.arguments.members.items():
        if member.shape is not None:
            variables[name] = {key: value for key, value in values.items() if key in member.shape.members}
        elif name in values:
            variables[name] = values[name]
    return {_camel(name): to_variable(value) for name, value in variables.items()}


def read_query(plan: Plan, query: str, id: int | None) -> dict[str, Any]:
    """The variables of a list: its page, order, filters and the object of its path. What is not known is refused."""
    given = read_parameters(query)
    unknown = [name for name in given if name not in PAGE_PARAMETERS and name not in plan.filter.members]
    errors = {name: sentence(name, "is not known") for name in unknown}
    filters = {name: value for name, value in given.items() if name in plan.filter.members}
    try:
        filter_values = checks.read(plan.filter, filters, read_value)
    except DomainError as error:
        errors = error.fields | errors
        filter_values = {}
    empty = [name for name, value in filter_values.items() if value is None]
    errors |= {name: sentence(name, "must not be empty") for name in empty}
    variables = _page(plan, given, errors)
    if errors:
        raise invalid_fields(errors)
    if plan.route.below is not None:
        filter_values[plan.route.below] = str(id)
    return variables | {"filter": to_variable(filter_values)}


def read_no_query(query: str) -> None:
    """For routes that take no parameters."""
    if query and (unknown := list(read_parameters(query))):
        raise invalid_fields({name: sentence(name, "is not known") for name in unknown})


def _page(plan: Plan, given: Mapping[str, str], errors: dict[str, str]) -> dict[str, Any]:
    first = read_whole("per_page", given.get("per_page", str(MAX_PAGE)), 1, MAX_PAGE, errors)
    page = read_whole("page", given.get("page", "1"), 1, LARGEST_OFFSET, errors)
    if (page - 1) * first >= LARGEST_OFFSET and "page" not in errors:
        errors["page"] = sentence("page", f"reaches beyond the first {LARGEST_OFFSET:,} rows: use cursor")
    if "page" in given and "cursor" in given:
        errors["cursor"] = sentence("cursor", "cannot be combined with page")
    sort = given.get("sort", "id")
    if sort not in plan.sorts:
        errors["sort"] = sentence("sort", f"must be one of: {', '.join(plan.sorts)}")
    total = given.get("total", "false")
    if total not in ("true", "false"):
        errors["total"] = sentence("total", "must be true or false")
    if given.get("cursor") == "":
        errors["cursor"] = sentence("cursor", "must not be empty")
    elif "cursor" in given and "cursor" not in errors and "sort" not in errors:
        _check_cursor(plan, given["cursor"], sort, errors)
    return {
        "first": first,
        "offset": (page - 1) * first,
        "after": given.get("cursor"),
        "sort": plan.sorts.get(sort),
        "total": total == "true",
    }


def _check_cursor(plan: Plan, cursor: str, sort: str, errors: dict[str, str]) -> None:
    """Refuses a bad cursor under the name that it has here."""
    order = plan.root.arguments.members["sort"].type[plan.sorts[sort]]
    try:
        read_cursor("cursor", cursor, sort_of(order), LISTS[plan.root.name].row)
    except DomainError as error:
        errors |= error.fields


def read_whole(name: str, text: str, least: int, most: int, errors: dict[str, str]) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and least <= int(text) <= most):
        errors[name] = sentence(name, f"must be a whole number from {least} to {most:,}")
        return least
    return int(text)


def read_parameters(query: str) -> dict[str, str]:
    """The parameters of a query string; one that is given twice is refused."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=50)
    except (ValueError, UnicodeDecodeError):
        raise DomainError(Code.VALIDATION_ERROR, "The query string is malformed.") from None
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise invalid(name, "must not be given twice")
        given[name] = value
    return given


def read_value(member: Member, value: Any) -> Any:
    """A JSON value, or the text of a parameter, as the member's Python type."""
    kind = member.type
    if kind is str:
        if not isinstance(value, str):
            raise ValueError("must be a string")
        return value
    if isinstance(value, str):
        value = value.strip()
    if kind is int:
        return _read_integer(value)
    if kind is bool:
        if value in ("true", "false"):
            return value == "true"
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value
    if kind is Decimal:
        return None if value == "" else money.read(value)
    if kind is date:
        return None if value == "" else read_date(value)
    if kind is datetime:
        return None if value == "" else read_moment(value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        if value == "":
            return None
        allowed = [one.value for one in kind]
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"must be one of: {', '.join(allowed)}")
        return kind(value)
    raise AssertionError(f"the reader does not know {kind}")


def _read_integer(value: Any) -> int | None:
    if value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 19:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError("must be an integer")
    return value


def to_variable(value: Any) -> Any:
    """A value as GraphQL takes it in variables."""
    match value:
        case Enum():
            return value.name
        case datetime():
            return write_time(value) if value.microsecond == 0 else value.isoformat()
        case date():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case dict():
            return {_camel(name): to_variable(inner) for name, inner in value.items()}
        case list():
            return [to_variable(inner) for inner in value]
        case _:
            return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
