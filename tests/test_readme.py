"""The examples of the README and of the guides, run against a server: what they show is what is answered."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from docs import examples
from docs.examples import Served

DATABASE = "arcbilling.sqlite3"


class Replayed(NamedTuple):
    """A request of a page, the answer that the page shows, and the answer that it got."""

    request: str
    shown: str
    answer: str


def replayed(page: Path, server: Served) -> Iterator[Replayed]:
    for example in examples.examples(page.read_text(encoding="utf-8")):
        if examples.is_run(example):
            yield Replayed(example.request, example.answer, server.answer(example))


class Installation(NamedTuple):
    """A new installation: what the README's examples were answered there, and its data as the demo had made it."""

    answers: list[Replayed]
    demo: Path


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder: Path = tmp_path_factory.mktemp("readme")
    demo: Path = tmp_path_factory.mktemp("demo")
    answers = []
    with examples.served(folder) as server:
        for one in replayed(examples.README, server):
            answers.append(one)
            if one.request.startswith("./run demo"):
                back_up(folder / DATABASE, demo / DATABASE)
                shutil.copy(folder / "secret.key", demo)
            elif one.request.startswith("./run keys create"):
                server.key = one.answer.splitlines()[-1]
    return Installation(answers, demo)


def back_up(path: Path, copy: Path) -> None:
    """As docs/operations.md says, while the server runs."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def test_every_example_of_the_readme_works_on_a_new_installation(installation: Installation) -> None:
    for request, shown, answer in installation.answers:
        assert examples.form(answer) == examples.form(shown), request
    requests = [one.request for one in installation.answers]
    assert any("/api/v1/" in request for request in requests)
    assert any("/graphql" in request for request in requests)
    assert any(request.startswith("./run demo") for request in requests)


@pytest.mark.parametrize("guide", examples.GUIDES, ids=lambda path: path.name)
def test_every_example_of_a_guide_is_answered_as_it_shows(
    guide: Path, installation: Installation, tmp_path: Path
) -> None:
    shutil.copytree(installation.demo, tmp_path, dirs_exist_ok=True)
    count = 0
    with examples.served(tmp_path) as server:
        server.key = server.run("keys", "create", "examples").splitlines()[-1]
        for request, shown, answer in replayed(guide, server):
            assert examples.form(answer) == examples.form(shown), request
            count += 1
    assert count > 10


def test_the_readme_starts_with_the_two_commands() -> None:
    requests = [example.request for example in examples.examples(examples.README.read_text(encoding="utf-8"))]
    assert requests[:2] == ["./run serve", "./run test"]
