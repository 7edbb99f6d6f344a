"""The pages of docs/: those that are generated are what the code says now, and no page leads nowhere."""

import re
from pathlib import Path

import graphql
import pytest

from arcbilling import settings
from docs import generate
from rest_compat.routes import ROUTES
from schema.events import CATALOGUE
from schema.root import build

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("name", sorted(generate.PAGES))
def test_a_generated_page_is_what_the_code_says(name: str) -> None:
    page = (generate.FOLDER / name).read_text(encoding="utf-8")
    assert page == generate.PAGES[name](), "run: python docs/generate.py"


def test_the_settings_page_names_every_setting() -> None:
    page = generate.settings_page()
    for name, _, meaning in settings.table():
        assert f"`{name}`" in page
        assert meaning.replace("|", "/") in page


def test_the_reference_page_names_every_route_and_every_event() -> None:
    page = generate.reference_page()
    for route in ROUTES:
        assert f"`{route.method} {route.path}`" in page
    for name, event in CATALOGUE.items():
        assert f"| `{name}` |" in page
        assert event.trigger in page


def test_every_event_is_told_by_some_mutation() -> None:
    """An event that nothing emits would be a promise that nobody keeps."""
    events = generate.reference_page().rpartition("## Events")[2]
    assert not [line for line in events.splitlines() if line.startswith("| `") and line.endswith("|  |")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_by_its_path_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    folders = "arcbilling|executor|schema|resolvers|models|rest_compat|tests|docs"
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_only_settings_that_there_are(page: Path) -> None:
    read_by_tests = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("*.py"))
    known = {name for name, _, _ in settings.table()} | set(re.findall(r"ARCBILLING_TEST_[A-Z_]+", read_by_tests))
    named = set(re.findall(r"ARCBILLING_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8")))
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_body_that_a_page_has_sent_is_sent_as_json(page: Path) -> None:
    """By itself curl calls what `-d` sends a form, which is answered with 415."""
    for command in re.findall(r"^ *(?:\$ )?(curl (?:.*\\\n)*.*)", page.read_text(encoding="utf-8"), re.MULTILINE):
        if re.search(r"\s(-d|--data\S*)\s", command):
            assert "Content-Type: application/json" in command, command


def test_every_decision_has_context_decision_consequences_and_alternatives() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(page.name[:4]) for page in decisions]
    assert numbers == list(range(1, len(decisions) + 1))
    for page in decisions:
        headings = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert headings == ["Context", "Decision", "Consequences", "Alternatives"], page.name


def test_every_document_to_copy_from_the_graphql_guide_fits_the_schema() -> None:
    text = (ROOT / "docs" / "graphql.md").read_text()
    documents = re.findall(r"```gql\n(.*?)```", text, re.DOTALL)
    assert len(documents) == 2
    for document in documents:
        assert graphql.validate(build(), graphql.parse(document)) == []
