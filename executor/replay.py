"""Replay: what goes wrong is executed again by graphql-core, with what the root resolvers gave before.

So errors, their paths and what they leave null are graphql-core's own, and nothing is done twice. Resolvers below the
root may be called again: they only read.
"""

from collections.abc import Callable
from typing import Any

import graphql
from graphql import ExecutionResult, GraphQLResolveInfo

from executor.running import Raised, Run


async def replay(run: Run) -> ExecutionResult:
    """Executes the operation of a run that failed, or was never begun."""
    outcome = graphql.execute(
        run.schema,
        run.document,
        run.root,
        run.context,
        dict(run.variables),
        run.name,
        middleware=[_giving(run.roots)] if run.roots else None,
    )
    return outcome if isinstance(outcome, ExecutionResult) else await outcome


def _giving(roots: dict[str, Any]) -> Callable[..., Any]:
    """A middleware that gives what root resolvers gave, instead of calling them."""

    def resolve(following: Callable[..., Any], source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        if info.path.prev is not None or info.path.key not in roots:
            return following(source, info, **arguments)
        given = roots[info.path.key]
        if isinstance(given, Raised):
            raise given.error
        return given

    return resolve
