"""Differential fuzzing: random documents, executed by graphql-core and compiled, must come to the same.

`./run fuzz --documents 20000 --seed 1`
"""

import argparse
import asyncio
import sys
import warnings
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import graphql
from graphql import Undefined

from arcbilling import logs
from arcbilling.settings import load
from tests.conftest import open_house
from tests.databases import EmptySqlite
from tests.doors.estate import Estate
from tests.executor import trouble
from tests.executor.comparing import Tally, compiled, interpreted
from tests.executor.documents import Author
from tests.executor.estate_documents import through_the_estate


def _values(random: Random, name: str, type_: Any) -> Any:
    """Some are nulls, which may be refused."""
    if name in ("first", "at"):
        return random.choice((1, 2, 2, 2, 2, 2, 3))
    return None if random.random() < 0.02 else Undefined


async def through_trouble(documents: int, seed: int) -> Tally:
    """Documents of a schema full of trouble, some of them with more of it than others."""
    random, tally = Random(seed), Tally()
    schemas = [trouble.build(promising=promising) for promising in (True, False)]
    authors = [Author(schema, random, _values, deepest=3) for schema in schemas]
    for number in range(documents):
        schema, author = schemas[number % 2], authors[number % 2]
        asked = author.document(random.choice(("query", "query", "mutation")))
        document = graphql.parse(asked.text)
        measure = random.choice((0.0, 0.0, 0.0, 0.01, 0.1, 0.3))
        waits = random.random() < 0.5
        first, second = trouble.Witness(measure, waits=waits), trouble.Witness(measure, waits=waits)
        expected = await interpreted(schema, document, None, first, dict(asked.variables))
        function = compiled(schema, document)
        if function is not None:
            result = await function.run(None, second, asked.variables)
            tally.compare(asked, expected, result, [first.calls, second.calls], waited=waits)
        tally.count(function, expected)
    return tally


async def through_a_house(documents: int, seed: int) -> Tally:
    """Documents of our schema, over a database of its own."""
    with TemporaryDirectory() as folder:
        empty = EmptySqlite(Path(folder) / "template.sqlite3")
        await empty.migrate()
        async with open_house(Path(folder) / "house", empty, access_log="off", deliver="off") as house:
            await Estate(house).furnish()
            return await through_the_estate(house, documents, seed)


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares compiled operations with graphql-core.")
    parser.add_argument("--documents", type=int, default=2000, help="how many; a quarter of them for our own schema")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    logs.configure(load({}, log_level="error"))
    # graphql-core leaves some of the coroutines that it cancels unawaited.
    warnings.simplefilter("ignore", RuntimeWarning)
    sys.unraisablehook = lambda _: None
    differences = 0
    for name, through, share in (("a schema of trouble", through_trouble, 3), ("our schema", through_a_house, 1)):
        tally = asyncio.run(through(asked.documents * share // 4, asked.seed))
        print(f"seed {asked.seed}, {name}: {tally}", flush=True)  # noqa: T201
        differences += len(tally.differences)
        for difference in tally.differences[:3]:
            print(difference)  # noqa: T201
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
