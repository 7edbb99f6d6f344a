"""Models and rows: every table has a row of the same columns, keys that are restricted and indexed."""

import importlib
import inspect
from datetime import date, datetime
from enum import StrEnum
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from tortoise import fields
from tortoise.fields.relational import ForeignKeyFieldInstance
from tortoise.models import Model

import models
from resolvers.tables import Table

MODELS: dict[str, type[Model]] = {}
ROWS: dict[str, type[Any]] = {}
for _module in (importlib.import_module(name) for name in models.MODULES):
    for _name, _value in inspect.getmembers(_module, inspect.isclass):
        if _value.__module__ != _module.__name__:
            continue
        if issubclass(_value, Model):
            MODELS[_name] = _value
        elif _name.endswith("Row"):
            ROWS[_name.removesuffix("Row")] = _value

SHORT = {"IdempotencyRecord": "Idempotency", "AuditEntry": "Audit"}
"""Models whose rows have a shorter name."""

PYTHON: dict[type[fields.Field[Any]], type[Any]] = {
    fields.BigIntField: int,
    fields.CharField: str,
    fields.TextField: str,
    fields.DatetimeField: datetime,
    fields.DateField: date,
    fields.BooleanField: bool,
    fields.BinaryField: bytes,
    ForeignKeyFieldInstance: int,
}

every_model = pytest.mark.parametrize("name", sorted(MODELS))


def columns(model: type[Model]) -> dict[str, fields.Field[Any]]:
    """Column → field, in the order of the model."""
    found: dict[str, fields.Field[Any]] = {}
    for name, field in vars(model)["_meta"].fields_map.items():
        if isinstance(field, ForeignKeyFieldInstance):
            found[field.source_field or f"{name}_id"] = field
        elif not getattr(field, "reference", None):
            found[name] = field
    return found


def foreign_keys(model: type[Model]) -> dict[str, ForeignKeyFieldInstance[Any]]:
    return {name: field for name, field in columns(model).items() if isinstance(field, ForeignKeyFieldInstance)}


def row_of(name: str) -> type[Any]:
    return ROWS[SHORT.get(name, name)]


def test_every_row_is_that_of_a_model() -> None:
    assert set(ROWS) == {SHORT.get(name, name) for name in MODELS}


@every_model
def test_the_row_has_the_columns_of_its_table(name: str) -> None:
    assert set(row_of(name)._fields) == set(columns(MODELS[name]))
    assert row_of(name)._fields[0] == "id"


@every_model
def test_each_column_of_a_row_has_the_type_of_its_field(name: str) -> None:
    hints = get_type_hints(row_of(name))
    for column, field in columns(MODELS[name]).items():
        hint, nullable = hints[column], False
        if get_origin(hint) in (Union, UnionType):
            nullable = type(None) in get_args(hint)
            (hint,) = (part for part in get_args(hint) if part is not type(None))
        assert nullable == field.null, f"{name}.{column}"
        expected = PYTHON[type(field)]
        assert hint is expected or (expected is str and issubclass(hint, StrEnum)), f"{name}.{column}"


@every_model
def test_each_enum_fits_into_its_column(name: str) -> None:
    hints = get_type_hints(row_of(name))
    for column, field in columns(MODELS[name]).items():
        for kind in (hints[column], *get_args(hints[column])):
            if isinstance(kind, type) and issubclass(kind, StrEnum):
                assert max(len(member) for member in kind) <= field.max_length, column  # type: ignore[attr-defined]


@every_model
def test_every_foreign_key_restricts_and_has_an_index(name: str) -> None:
    meta = MODELS[name]._meta
    leading = {next(iter(index.fields)) for index in meta.indexes if not isinstance(index, tuple)}
    leading |= {group[0] for group in meta.unique_together}
    for column, field in foreign_keys(MODELS[name]).items():
        assert field.on_delete is fields.RESTRICT, f"{name}.{column}"
        assert column in leading, f"{name}.{column} has no index"


@every_model
def test_no_column_is_a_float_or_a_decimal(name: str) -> None:
    for column, field in columns(MODELS[name]).items():
        assert type(field) in PYTHON, f"{name}.{column}"


@every_model
def test_models_have_no_methods(name: str) -> None:
    own = {key for key, value in vars(MODELS[name]).items() if inspect.isfunction(value)}
    assert own <= {"__str__"}


def test_every_table_is_read_as_its_row() -> None:
    """The resolvers' tables name each model with its own row, and every personal column exists."""
    seen = set()
    for module in ("api_keys", "audit", "clients", "idempotency", "invoices", "outbox", "products", "servers"):
        for table in vars(importlib.import_module(f"resolvers.{module}")).values():
            if isinstance(table, Table):
                assert set(table._personal) <= set(table.columns)
                assert table._owner is None or table._owner in table.columns
                seen.add(table.name)
    assert seen <= {model._meta.db_table for model in MODELS.values()}
