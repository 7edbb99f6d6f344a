"""Differential fuzzing: random documents, executed by graphql-core and compiled, must come to the same.

`.venv/bin/python -m tests.executor.fuzz --documents 20000 --seed 1`
"""

import argparse
import asyncio
import sys
import warnings
from random import Random
from typing import Any

import graphql
from graphql import Undefined

from tests.executor import trouble
from tests.executor.comparing import Tally, compiled, interpreted, told
from tests.executor.documents import Author


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
        first, second = trouble.Witness(measure), trouble.Witness(measure)
        expected = await interpreted(schema, document, None, first, dict(asked.variables))
        function = compiled(schema, document)
        if function is not None:
            result = await function.run(None, second, asked.variables)
            if told(result) != told(expected) or first.calls != second.calls:
                tally.differences.append(
                    f"{asked.text}\n{asked.variables}\n{told(expected)}\n{told(result)}\n{first.calls} {second.calls}"
                )
        tally.count(function, expected)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares compiled operations with graphql-core.")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    # graphql-core leaves some of the coroutines that it cancels unawaited.
    warnings.simplefilter("ignore", RuntimeWarning)
    sys.unraisablehook = lambda _: None
    tally = asyncio.run(through_trouble(asked.documents, asked.seed))
    print(f"seed {asked.seed}, a schema of trouble: {tally}")  # noqa: T201
    for difference in tally.differences[:3]:
        print(difference)  # noqa: T201
    return 1 if tally.differences else 0


if __name__ == "__main__":
    sys.exit(main())
