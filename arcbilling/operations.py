"""Operations as they come in over any of GraphQL's transports: read from a request, run, and told in its form."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from graphql import GraphQLError, GraphQLSchema, OperationType

from schema.calls import Call
from schema.context import MAX_ROWS_CHOSEN, Context
from schema.documents import Documents, Invalid, Operation
from schema.errors import Code, DomainError
from schema.execution import Result, error_of
from schema.limits import LimitError

COST_OF_ONE = 500
"""So much cost is one request of the caller's budget."""


class Request(NamedTuple):
    """What a caller asks for."""

    text: str
    name: str | None
    variables: Mapping[str, Any]


class Refused(Exception):
    """The document is not one that may be run: what is wrong with it."""

    def __init__(self, errors: tuple[GraphQLError, ...]) -> None:
        super().__init__(errors[0].message)
        self.result = Result(None, errors, executed=False)


class Operations:
    """The operations of one schema, with the documents that it knows."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self._documents = Documents(schema)
        self._reading = asyncio.Lock()

    async def read(self, request: Request) -> tuple[Operation, int]:
        """The operation, and how many requests it costs beyond one. Raises Refused.

        What was never seen is read one by one, with a turn of everything else between. Else a row of them, each up to
        its 50 ms of CPU, would be read in one breath, and nobody be answered meanwhile.
        """
        try:
            if self._documents.knows(request.text):
                operation, cost = self._documents.operation(*request)
            else:
                async with self._reading:
                    try:
                        operation, cost = self._documents.operation(*request)
                    finally:
                        await asyncio.sleep(0)
        except Invalid as invalid:
            raise Refused(invalid.errors) from None
        except GraphQLError as error:
            raise Refused((error,)) from None
        except LimitError as error:
            raise Refused((GraphQLError(str(error)),)) from None
        return operation, cost // COST_OF_ONE


def is_subscription(operation: Operation) -> bool:
    return operation.definition.operation is OperationType.SUBSCRIPTION


def contexts(call: Call) -> Callable[[], Context]:
    """Makes a context for each operation of a caller, and for each event that it is told."""
    actor = call.admitted()

    def new_context() -> Context:
        context = call.engine.context(actor, call.request_id)
        context.most_rows = MAX_ROWS_CHOSEN
        return context

    return new_context


def members(request: Mapping[str, Any]) -> Request:
    """What a request asks for, checked by its form."""
    text, name, variables = request.get("query"), request.get("operationName"), request.get("variables")
    if not isinstance(text, str) or not text.strip():
        raise DomainError(Code.VALIDATION_ERROR, "The member query must be a GraphQL document.")
    if name is not None and not isinstance(name, str):
        raise DomainError(Code.VALIDATION_ERROR, "The member operationName must be a string.")
    if variables is not None and not isinstance(variables, dict):
        raise DomainError(Code.VALIDATION_ERROR, "The member variables must be an object.")
    if not isinstance(request.get("extensions", None), dict | None):
        raise DomainError(Code.VALIDATION_ERROR, "The member extensions must be an object.")
    return Request(text, name or None, variables or {})


def told(result: Result, request_id: str) -> tuple[dict[str, Any], DomainError | None]:
    """A GraphQL response, and the first error if there is any. What was not executed has no data entry."""
    body: dict[str, Any] = {}
    failures = [(error, error_of(error, request_id)) for error in result.errors]
    if failures:
        body["errors"] = [_error(error, failure, request_id) for error, failure in failures]
    if result.executed:
        body["data"] = result.data
    return body, failures[0][1] if failures else None


def told_refusal(error: DomainError, request_id: str) -> Sequence[dict[str, Any]]:
    """The errors of a request that never became an operation."""
    return [{"message": error.message, "extensions": _extensions(error, request_id)}]


def _error(error: GraphQLError, failure: DomainError, request_id: str) -> dict[str, Any]:
    content: dict[str, Any] = {"message": failure.message}
    if error.locations:
        content["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    if error.path:
        content["path"] = list(error.path)
    content["extensions"] = _extensions(failure, request_id)
    return content


def _extensions(error: DomainError, request_id: str) -> dict[str, Any]:
    content: dict[str, Any] = {"code": error.code.value}
    if error.code is Code.INTERNAL_ERROR:
        content["requestId"] = request_id
    if error.fields:
        content["fields"] = {camel_path(path): text for path, text in error.fields.items()}
    if error.reason is not None:
        content["reason"] = error.reason
    if error.allowed_actions is not None:
        content["allowedActions"] = [action.upper() for action in error.allowed_actions]
    return content


def camel_path(path: str) -> str:
    """`items[0].unit_price` → `items[0].unitPrice`."""
    first, *rest = path.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)
