"""The difference between what graphql-core gives and what a compiled operation gives."""

import json
from collections.abc import Callable
from typing import Any

import graphql
from graphql import DocumentNode, ExecutionResult, GraphQLSchema

from executor import Compiled, Unsupported, compile_operation


def told(result: ExecutionResult) -> str:
    """All that an answer says, in its order; errors sorted, for those beside each other come up in any order."""
    errors = [
        [error.message, error.path, [[place.line, place.column] for place in error.locations or ()]]
        for error in result.errors or ()
    ]
    return json.dumps({"data": result.data, "errors": sorted(errors, key=json.dumps)}, indent=1, default=repr)


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
        self.differences: list[str] = []

    def count(self, function: Compiled | None, expected: ExecutionResult) -> None:
        self.documents += 1
        self.compiled += function is not None
        self.replayed += function is not None and function.replays > 0
        self.failed += bool(expected.errors)

    def __str__(self) -> str:
        return (
            f"{self.documents} documents: {self.compiled} compiled, {self.replayed} replayed, "
            f"{self.failed} with errors, {len(self.differences)} differences"
        )


Check = Callable[[], Any]
