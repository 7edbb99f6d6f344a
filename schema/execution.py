"""The one door: every operation, of whichever kind of caller, is executed here.

A mutation runs as one unit of work for each of its root fields: what the answer says and what is stored stand or fall
together.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeGuard, cast

import graphql
import structlog
from graphql import GraphQLError, GraphQLSchema

from executor import PlainResult
from resolvers import idempotency, unit_of_work
from resolvers.database import DatabaseUnavailable, UniqueViolation
from resolvers.idempotency import Answer, AnswerErased, IdempotencyRequest, KeyInUse, KeyReused, Replay
from resolvers.unit_of_work import UNDONE, Outcome, Unit
from schema import introspection
from schema.coercion import refused_value
from schema.context import Context
from schema.documents import Operation, key_of
from schema.errors import Code, DomainError, internal, refused, unavailable
from schema.parts import Part

__all__ = ["Answer", "NotSubscribed", "Result", "error_of", "execute", "subscribe"]

log = structlog.get_logger("arcbilling.execution")

MAX_STORED = 2 * 1024 * 1024
"""The largest answer that is stored for an Idempotency-Key: it is kept for a day, and each key makes another."""
SECONDS_TO_RETRY = 1.0
"""An event that could not be told because the database is away is told once it is back."""


@dataclass(frozen=True)
class Result:
    """What an operation came to: data, errors, or both."""

    data: dict[str, Any] | None
    errors: tuple[GraphQLError, ...] = ()
    executed: bool = True
    """Whether any field was executed: if none was, there is no data to speak of, not even null."""
    is_plain: bool = False
    """Whether a plain operation told it: enums by their values, ids as integers."""

    @property
    def failed(self) -> bool:
        return bool(self.errors)


async def execute(
    schema: GraphQLSchema,
    operation: Operation,
    variables: Mapping[str, Any],
    context: Context,
    render: Callable[[Result], Answer],
    asked: IdempotencyRequest | None = None,
) -> Answer:
    """Executes an operation as the context's actor and renders what it came to.

    With an Idempotency-Key the rendered answer is stored in the transaction that the mutation makes.
    """
    if missing := operation.authorise(context.actor):
        return render(Result(None, missing, executed=False))
    if not operation.is_mutation:
        return render(await _run(schema, operation.parts[0], variables, context))
    if asked is None:
        return render(await _run_parts(schema, operation, variables, context))
    if len(operation.parts) != 1:
        raise DomainError(
            Code.VALIDATION_ERROR,
            f"An Idempotency-Key is for one mutation field, and this operation has {len(operation.parts)}.",
        )
    try:
        async with idempotency.turn(asked):
            await idempotency.peek(context.session, asked)
            _, answer = await _unit(schema, operation.parts[0], variables, context, render, asked)
    except Replay as replay:
        answer = replace(replay.answer, headers={**replay.answer.headers, "Idempotency-Replayed": "true"})
    except KeyReused:
        raise DomainError(
            Code.VALIDATION_ERROR,
            f"The Idempotency-Key {asked.key!r} was used before with another request. Use a new key.",
            status=422,
        ) from None
    except KeyInUse:
        raise DomainError(
            Code.VALIDATION_ERROR,
            f"The first request with the Idempotency-Key {asked.key!r} is still being done. Please try again.",
            status=409,
            retry_after=2,
        ) from None
    except DatabaseUnavailable as error:
        log.warning("database unavailable", error=str(error), request_id=context.request_id)
        raise unavailable() from error
    except AnswerErased:
        raise DomainError(
            Code.VALIDATION_ERROR,
            "The answer stored for this Idempotency-Key was erased with the client it told of. Use a new key.",
            status=422,
        ) from None
    return answer


class NotSubscribed(Exception):
    """A subscription that is refused before its first event."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.errors[0].message)
        self.result = result


async def subscribe(
    schema: GraphQLSchema, operation: Operation, variables: Mapping[str, Any], new_context: Callable[[], Context]
) -> AsyncGenerator[Result]:
    """Begins a subscription: its results, one for each event, each executed anew as the context's actor.

    No loader outlives an event: what is shown is what the caller may see, as it is then. Raises NotSubscribed.
    """
    if missing := operation.authorise(new_context().actor):
        raise NotSubscribed(Result(None, missing, executed=False))
    executor = graphql.Executor.build(
        schema,
        operation.document,
        context_value=new_context(),
        raw_variable_values=dict(variables),
        operation_name=operation.parts[0].name,
        hide_suggestions=True,
    )
    if isinstance(executor, list):
        raise NotSubscribed(Result(None, tuple(executor), executed=False))
    rows = graphql.create_source_event_stream(executor)
    if isinstance(rows, Awaitable):
        rows = await rows
    if isinstance(rows, graphql.ExecutionResult):
        raise NotSubscribed(Result(None, tuple(rows.errors or ()), executed=False))
    return _each(schema, operation, variables, new_context, rows)


async def _each(
    schema: GraphQLSchema,
    operation: Operation,
    variables: Mapping[str, Any],
    new_context: Callable[[], Context],
    rows: AsyncIterable[Any],
) -> AsyncGenerator[Result]:
    async with aclosing(cast(AsyncGenerator[Any], rows)) as told:
        async for row in told:
            while True:
                result = await _run(schema, operation.parts[0], variables, new_context(), row)
                if not any(isinstance(_cause(error), DatabaseUnavailable) for error in result.errors):
                    break
                log.warning("a subscription waits for the database", request_id=new_context().request_id)
                await asyncio.sleep(SECONDS_TO_RETRY)
            yield result


async def _run_parts(
    schema: GraphQLSchema, operation: Operation, variables: Mapping[str, Any], context: Context
) -> Result:
    """Runs a mutation's root fields one after the other, each in a unit of work of its own, until one fails.

    Root fields are never null, so that a failure leaves no data; what was done before it stands all the same.
    """
    data: dict[str, Any] = {}
    errors: list[GraphQLError] = []
    for part in operation.parts:
        try:
            result, _ = await _unit(schema, part, variables, context, None, None)
        except DomainError as error:
            result = Result(None, (GraphQLError(error.message, path=[key_of(part)], original_error=error),))
        errors += result.errors
        if result.data is None:
            return Result(None, tuple(errors), executed=result.executed)
        data |= result.data
    return Result(data, tuple(errors), is_plain=result.is_plain)


async def _unit(
    schema: GraphQLSchema,
    part: Part,
    variables: Mapping[str, Any],
    context: Context,
    render: Callable[[Result], Answer] | None,
    asked: IdempotencyRequest | None,
) -> tuple[Result, Answer]:
    async def work(unit: Unit) -> Outcome[tuple[Result, Answer]]:
        result = await _run(schema, part, variables, context.within(unit))
        if result.failed:
            result = replace(result, data=None)  # nothing of it will be stored, so nothing of it may be shown
        if unit.stopped is not None:
            raise unit.stopped
        for error in result.errors:
            if isinstance(cause := _cause(error), UNDONE):
                raise cause
        answer = render(result) if render is not None else _UNRENDERED
        stored = answer if asked is not None and 200 <= answer.status < 300 else None
        if stored is not None and len(stored.body) > MAX_STORED:
            raise refused(
                f"The answer takes {len(stored.body):,} bytes, and at most {MAX_STORED:,} are stored for an "
                "Idempotency-Key. Nothing was done. Select less of it."
            )
        return Outcome((result, answer), keep=not result.failed, answer=stored)

    try:
        return await unit_of_work.run(lambda: context.new_unit(asked), work)
    except (DatabaseUnavailable, TimeoutError) as error:
        log.warning("database unavailable", error=str(error), request_id=context.request_id)
        raise unavailable() from error
    except UniqueViolation as error:
        log.error("internal error", exc_info=error, request_id=context.request_id)
        raise internal() from error


_UNRENDERED = Answer(0, b"")


async def _run(
    schema: GraphQLSchema, part: Part, variables: Mapping[str, Any], context: Context, root: Any = None
) -> Result:
    compiled = part.compiled(schema) if context.compiled else None
    if compiled is not None:
        outcome = await compiled.run(root, context, variables, context.recount)
    else:
        outcome = await _interpreted(schema, part, variables, context, root)
    errors = tuple(outcome.errors or ())
    executed = outcome.data is not None or any(error.path for error in errors)  # else the variables were refused
    return Result(outcome.data, errors, executed, isinstance(outcome, PlainResult))


async def _interpreted(
    schema: GraphQLSchema, part: Part, variables: Mapping[str, Any], context: Context, root: Any
) -> graphql.ExecutionResult:
    outcome = graphql.execute(
        introspection.executable(schema),
        part.document,
        root,
        context_value=context,
        variable_values=dict(variables),
        operation_name=part.name,
        is_async_iterable=_never,
    )
    return outcome if isinstance(outcome, graphql.ExecutionResult) else await outcome


def _never(_: object) -> TypeGuard[AsyncIterable[Any]]:
    """No field gives a stream: saves asking every value."""
    return False


def _cause(error: GraphQLError) -> Exception | None:
    """What was raised, below GraphQL's own errors about it."""
    cause = error.original_error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    return cause


def error_of(error: GraphQLError, request_id: str) -> DomainError:
    """The caller's view of an error: our own as they are, those of GraphQL as VALIDATION_ERROR, all else masked."""
    original = _cause(error)
    match original:
        case DomainError():
            return original
        case None | GraphQLError():
            return refused_value(error.message)
        case ValueError() if error.path is None:  # a scalar that could not be read
            return refused_value(error.message)
        case DatabaseUnavailable() | TimeoutError():
            log.warning("database unavailable", error=str(original), request_id=request_id)
            return unavailable()
        case _:
            log.error("internal error", exc_info=original, request_id=request_id, path=error.path)
            return internal()
