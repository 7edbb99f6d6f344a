"""Bodies and query strings, checked by hand."""

import re
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import orjson

from bench.yardsticks.contract import read_cursor

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_AMOUNT = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,20})?")
_TEXTS = {"first_name": 255, "last_name": 255, "email": 255, "company": 255, "phone": 255, "address": 1000, "city": 255}
_REQUIRED = ("first_name", "last_name", "email", "password")
_CLIENT = {*_TEXTS, "password", "country", "currency"}
_INVOICE = {"client_id", "due_date", "items"}


class Refused(Exception):
    """The answer to a request that is not carried out."""

    def __init__(self, status: int, code: str, message: str, fields: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error: dict[str, Any] = {"code": code, "message": message}
        if fields:
            self.error["fields"] = fields


class Page(NamedTuple):
    per_page: int
    after: int


def refused(fields: dict[str, str]) -> Refused:
    return Refused(400, "VALIDATION_ERROR", next(iter(fields.values())), fields)


def read_page(query: bytes, row: str) -> Page:
    per_page, after = 100, 0
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name == "per_page":
            if not value.isdigit() or not 1 <= int(value) <= 100:
                raise refused({name: "The per page field must be a whole number from 1 to 100."})
            per_page = int(value)
        elif name == "cursor":
            try:
                after = read_cursor(row, value)
            except ValueError:
                raise refused({name: "The cursor field must be a cursor that this list gave."}) from None
        else:
            raise refused({name: f"The {name} field is not known."})
    return Page(per_page, after)


def read_json(body: bytes) -> dict[str, Any]:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refused(400, "VALIDATION_ERROR", "The request body is not valid JSON.") from None
    if not isinstance(given, dict):
        raise Refused(400, "VALIDATION_ERROR", "The request body must be a JSON object.")
    return given


def read_client(body: bytes) -> dict[str, Any]:
    given = read_json(body)
    errors = {name: f"The {name} field is not known." for name in given.keys() - _CLIENT}
    client: dict[str, Any] = {}
    for name, most in _TEXTS.items():
        value = given.get(name)
        if value is not None and not isinstance(value, str):
            errors[name] = f"The {name} field must be a string."
            continue
        text = (value or "").strip()
        if not text and name in _REQUIRED:
            errors[name] = f"The {name} field is required."
        elif len(text) > most:
            errors[name] = f"The {name} field must be at most {most} characters."
        client[name] = text or None
    if client.get("email") and not _EMAIL.fullmatch(client["email"]):
        errors["email"] = "The email field must be a valid email address."
    password = given.get("password")
    if not isinstance(password, str) or not 8 <= len(password) <= 1024:
        errors["password"] = "The password field must be at least 8 characters."
    country, currency = given.get("country"), given.get("currency", "USD")
    if country is not None and not (isinstance(country, str) and len(country) == 2 and country.isalpha()):
        errors["country"] = "The country field must be an ISO 3166-1 country code."
    if not (isinstance(currency, str) and len(currency) == 3 and currency.isalpha()):
        errors["currency"] = "The currency field must be an ISO 4217 currency code such as USD."
    if errors:
        raise refused(errors)
    return {**client, "password": password, "country": country and country.upper(), "currency": currency}


def read_invoice(body: bytes) -> tuple[int, date, list[tuple[str, Decimal]]]:
    given = read_json(body)
    errors = {name: f"The {name} field is not known." for name in given.keys() - _INVOICE}
    client_id, items = given.get("client_id"), given.get("items")
    if not isinstance(client_id, int) or isinstance(client_id, bool):
        errors["client_id"] = "The client id field must be an integer."
    try:
        due_date = date.fromisoformat(given["due_date"])
    except (KeyError, TypeError, ValueError):
        errors["due_date"] = "The due date field must be a date (Y-m-d)."
    if not isinstance(items, list) or not 1 <= len(items) <= 500:
        errors["items"] = "The items field must have 1 to 500 items."
        raise refused(errors)
    lines = []
    for place, item in enumerate(items):
        try:
            description, amount = item["description"].strip(), str(item["amount"])
            if not description or len(description) > 1000 or not _AMOUNT.fullmatch(amount):
                raise ValueError(amount)
            lines.append((description, Decimal(amount)))
        except (AttributeError, KeyError, TypeError, ValueError, InvalidOperation):
            errors[f"items[{place}]"] = "The items field must have a description and an amount each."
    if errors:
        raise refused(errors)
    return int(given["client_id"]), due_date, lines
