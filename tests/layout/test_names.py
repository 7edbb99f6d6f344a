"""Names, sizes and registrations: one stem through all layers."""

import importlib
import inspect
from pathlib import Path

import pytest
from tortoise.models import Model

import models
from rest_compat.routes import ROUTES
from schema import root

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "arcbilling",
    "bench",
    "executor",
    "models",
    "provisioning",
    "resolvers",
    "rest_compat",
    "schema",
    "tests",
    "webhooks",
)
SOURCES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
LONGEST = 400
GENERATED = {"models/migrations/0001_initial.py"}
MEANINGLESS = {"utils", "util", "core", "common", "misc", "helpers", "lib"}

STEMS = {
    "deliveries": ("webhooks", "deliveries"),  # a delivery is stored with its webhook
    "departments": ("tickets", "tickets"),  # a department is a part of the tickets' module
    "orders": ("services", "services"),  # an order is a service that is sold
    "payments": ("invoices", "invoices"),  # a payment is stored and fetched with its invoice
    "event_log": ("events", "outbox"),  # what the schema reads as a log is an outbox to those that write it
    "subscriptions": ("events", "feed"),  # what goes on is fed by the rows of the same log
}
"""Schema modules whose tables and queries stand in the module of a nearby noun: models', resolvers'."""


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", [path for path in SOURCES if name(path) not in GENERATED], ids=name)
def test_no_module_has_more_than_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST


def test_no_folder_or_module_has_a_name_that_says_nothing() -> None:
    parts = {part.removesuffix(".py") for path in SOURCES for part in path.relative_to(ROOT).parts}
    assert parts & MEANINGLESS == set()


def test_a_module_or_folder_named_services_holds_what_clients_hold() -> None:
    named = {name(path) for path in SOURCES if "services" in path.relative_to(ROOT).with_suffix("").parts}
    assert named == {"models/services.py", "resolvers/services.py", "schema/services.py"}


def test_every_module_with_models_is_registered_for_the_migrations() -> None:
    with_models = set()
    for path in (ROOT / "models").glob("*.py"):
        module = importlib.import_module("models" if path.stem == "__init__" else f"models.{path.stem}")
        for _, one in inspect.getmembers(module, inspect.isclass):
            if issubclass(one, Model) and one.__module__ == module.__name__:
                with_models.add(module.__name__)
    assert with_models == set(models.MODULES)
    assert len(models.MODULES) == len(set(models.MODULES))


def test_every_module_that_declares_root_fields_is_part_of_the_schema() -> None:
    declaring = {
        f"schema.{path.stem}"
        for path in (ROOT / "schema").glob("*.py")
        if path.stem != "root"
        and any(mark in path.read_text() for mark in ("\n@query(", "\n@command(", "\n@subscription("))
    }
    assert declaring == {module.__name__ for module in root.MODULES}


@pytest.mark.parametrize("stem", sorted(module.__name__.removeprefix("schema.") for module in root.MODULES))
def test_a_noun_has_the_same_stem_in_models_and_resolvers(stem: str) -> None:
    in_models, in_resolvers = STEMS.get(stem, (stem, stem))
    assert (ROOT / "models" / f"{in_models}.py").is_file()
    assert (ROOT / "resolvers" / f"{in_resolvers}.py").is_file()


@pytest.mark.parametrize("noun", sorted({route.noun for route in ROUTES}))
def test_a_noun_with_routes_has_a_document_and_a_test_of_its_stem(noun: str) -> None:
    assert (ROOT / "schema" / f"{noun}.py").is_file()
    assert (ROOT / "rest_compat" / "documents" / f"{noun}.graphql").is_file()
    assert list((ROOT / "tests" / "doors").glob(f"test_*{noun}.py"))


def test_every_document_belongs_to_a_noun_with_routes() -> None:
    documents = {path.stem for path in (ROOT / "rest_compat" / "documents").glob("*.graphql")}
    assert documents == {route.noun for route in ROUTES}
