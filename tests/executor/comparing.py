"""The difference between what graphql-core gives and what a compiled operation gives."""

import difflib
import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import graphql
import orjson
from graphql import DocumentNode, ExecutionResult, GraphQLSchema

from executor import Compiled, Unsupported, compile_operation
from schema import scalars
from tests.executor.documents import Asked


def told(result: ExecutionResult, *, waited: bool = True) -> str:
    """All that an answer says, in its order; errors sorted, for those beside each other come up in any order.

    Where resolvers have waited, only the place of a null is told of the errors below it. Which of them come up before
    the rest is given up is a matter of who is first: graphql-core says others when a resolver takes longer.
    """
    errors: list[Any] = []
    for error in result.errors or ():
        covered = _covered(result.data, error.path or []) if waited else None
        if covered is None:
            errors.append([error.message, error.path, [[place.line, place.column] for place in error.locations or ()]])
        elif ["below", covered] not in errors:
            errors.append(["below", covered])
    content = {"data": result.data, "errors": sorted(errors, key=json.dumps)}
    return json.dumps(content, indent=1, default=_written)


def _written(value: Any) -> Any:
    """What is no JSON: moments and dates as answers write them, in whatever form they were told."""
    return orjson.loads(scalars.json(value)) if isinstance(value, date) else type(value).__name__


def _covered(data: Any, path: Sequence[str | int]) -> list[str | int] | None:
    """The place of the null above that of an error; None where there is none."""
    for length, step in enumerate(path):
        if data is None:
            return list(path[:length])
        data = data[step]
    return None


async def interpreted(
    schema: GraphQLSchema, document: DocumentNode, root: Any, context: Any, variables: dict[str, Any]
) -> ExecutionResult:
    outcome = graphql.execute(schema, document, root, context, variables)
    return outcome if isinstance(outcome, ExecutionResult) else await outcome


def compiled(schema: GraphQLSchema, document: DocumentNode) -> Compiled | None:
    try:
        return compile_operation(schema, document)
    except Unsupported:
        return None


class Tally:
    """What a comparison of many documents came to."""

    def __init__(self) -> None:
        self.documents = self.compiled = self.replayed = self.failed = 0
        self.needless = 0
        """How many were executed again though nothing is wrong with them."""
        self.differences: list[str] = []

    def compare(
        self, asked: Asked, expected: ExecutionResult, result: ExecutionResult, calls: list[Any], *, waited: bool = True
    ) -> None:
        """Notes how the results differ, or how often root resolvers were called for each."""
        sides = [told(expected, waited=waited), told(result, waited=waited)]
        if sides[0] != sides[1] or calls[0] != calls[1]:
            lines = difflib.unified_diff(
                *(side.splitlines() for side in sides), "graphql-core", "compiled", lineterm=""
            )
            self.differences.append("\n".join([asked.text, str(asked.variables), *lines, *map(str, calls)]))

    def count(self, function: Compiled | None, expected: ExecutionResult) -> None:
        self.documents += 1
        self.compiled += function is not None
        self.replayed += function is not None and function.replays > 0
        if function is not None and function.replays and not expected.errors:
            self.needless += 1
        self.failed += bool(expected.errors)

    def __str__(self) -> str:
        return (
            f"{self.documents} documents: {self.compiled} compiled, {self.replayed} replayed, "
            f"{self.needless} of them for nothing, {self.failed} with errors, {len(self.differences)} differences"
        )
