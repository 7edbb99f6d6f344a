"""The one door: every operation, of whichever kind of caller, is executed here.

A document is parsed, bounded and validated once and kept. A mutation runs as one unit of work for each of its root
fields: what the answer says and what is stored stand or fall together.
"""

from collections import OrderedDict
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import graphql
import structlog
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
)
from graphql.validation.rules import overlapping_fields_can_be_merged

from resolvers import idempotency, unit_of_work
from resolvers.database import DatabaseUnavailable
from resolvers.idempotency import Answer, AnswerErased, IdempotencyRequest, KeyInUse, KeyReused, Replay
from resolvers.unit_of_work import Outcome, Unit
from schema import limits
from schema.actors import Actor, Policy
from schema.coercion import refused_value
from schema.context import Context
from schema.errors import Code, DomainError, internal, unavailable

__all__ = ["Answer", "Documents", "Invalid", "Operation", "Result", "compile_operation", "error_of", "execute"]

log = structlog.get_logger("arcbilling.execution")

CACHED_CHARACTERS = 1_000_000
"""So much text of documents is kept; parsed, it takes a hundred times as much."""

# Comparing fields that could be merged is quadratic in graphql-core; beyond this much of it validation is refused.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 10_000


@dataclass(frozen=True)
class Result:
    """What an operation came to: data, errors, or both."""

    data: dict[str, Any] | None
    errors: tuple[GraphQLError, ...] = ()
    executed: bool = True
    """Whether any field was executed: if none was, there is no data to speak of, not even null."""

    @property
    def failed(self) -> bool:
        return bool(self.errors)


@dataclass(frozen=True)
class Operation:
    """An operation that may be executed: validated, with what it requires."""

    document: DocumentNode
    definition: OperationDefinitionNode
    parts: tuple[DocumentNode, ...]
    """For a mutation one document for each root field, else the document itself."""
    requires: tuple[tuple[Policy, FieldNode], ...]
    """The policy of each field that has one, and the field."""

    @property
    def is_mutation(self) -> bool:
        return self.definition.operation is OperationType.MUTATION

    def authorise(self, actor: Actor) -> tuple[GraphQLError, ...]:
        """What the actor lacks: nothing of the operation runs if it is anything."""
        missing: dict[str, tuple[DomainError, list[FieldNode]]] = {}
        for policy, node in self.requires:
            if (error := actor.lacks(policy)) is not None:
                missing.setdefault(error.message, (error, []))[1].append(node)
        return tuple(GraphQLError(error.message, nodes, original_error=error) for error, nodes in missing.values())


@dataclass(frozen=True)
class Kept:
    """A parsed document, and those of its operations that were found to be valid, by their name."""

    document: DocumentNode
    operations: dict[str | None, Operation] = field(default_factory=dict)


class Documents:
    """The documents of one schema, by their text: parsed and validated once each, the least lately used dropped."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self.characters = 0

    def operation(self, text: str, name: str | None, variables: Mapping[str, Any]) -> tuple[Operation, int]:
        """The operation of a document, within the limits and validated, and what it costs with these variables.

        Raises GraphQLError or LimitError, or Invalid with all errors of the validation.
        """
        kept = self._keep(text)
        definition = chosen(kept.document, name)
        cost = limits.measure(self.schema, kept.document, definition, variables).cost
        operation = kept.operations.get(name)
        if operation is None:
            if errors := graphql.validate(self.schema, kept.document, hide_suggestions=True):
                raise Invalid(tuple(errors))
            operation = kept.operations[name] = compile_operation(self.schema, kept.document, definition)
        return operation, cost

    def _keep(self, text: str) -> Kept:
        kept = self._kept.get(text)
        if kept is not None:
            self._kept.move_to_end(text)
            return kept
        kept = self._kept[text] = Kept(limits.parse(text))
        self.characters += len(text)
        while self.characters > CACHED_CHARACTERS:
            dropped, _ = self._kept.popitem(last=False)
            self.characters -= len(dropped)
        return kept


class Invalid(Exception):
    """The document does not fit the schema."""

    def __init__(self, errors: tuple[GraphQLError, ...]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


def chosen(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    """The operation that is meant."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if name is not None:
        for node in operations:
            if node.name is not None and node.name.value == name:
                return node
        raise GraphQLError(f"The document has no operation named {name!r}.")
    if len(operations) != 1:
        raise GraphQLError(
            "The document has no operation."
            if not operations
            else "The document has several operations: say which one by operationName."
        )
    return operations[0]


def compile_operation(schema: GraphQLSchema, document: DocumentNode, definition: OperationDefinitionNode) -> Operation:
    """Prepares a validated operation."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    parts = tuple(_split(definition, fragments)) if definition.operation is OperationType.MUTATION else (document,)
    return Operation(document, definition, parts, tuple(_requirements(schema, document, definition)))


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
        return render(await _run(schema, operation.document, operation, variables, context))
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
            _, answer = await _unit(schema, operation.parts[0], operation, variables, context, render, asked)
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
            result, _ = await _unit(schema, part, operation, variables, context, None, None)
        except DomainError as error:
            result = Result(None, (GraphQLError(error.message, path=[_key(part)], original_error=error),))
        errors += result.errors
        if result.data is None:
            return Result(None, tuple(errors), executed=result.executed)
        data |= result.data
    return Result(data, tuple(errors))


def _key(part: DocumentNode) -> str:
    """The response key of the one root field of a part."""
    (definition,) = (node for node in part.definitions if isinstance(node, OperationDefinitionNode))
    ((key, _), *_rest) = _root_fields(definition.selection_set.selections, {})
    return key


async def _unit(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: Operation,
    variables: Mapping[str, Any],
    context: Context,
    render: Callable[[Result], Answer] | None,
    asked: IdempotencyRequest | None,
) -> tuple[Result, Answer]:
    unit = Unit(context.database, context.actor, context.request_id, asked)
    unit.after_commit(context.committed)
    within = replace(context, unit=unit, _loaders={})

    async def work(_: Unit) -> Outcome[tuple[Result, Answer]]:
        result = await _run(schema, document, operation, variables, within)
        if result.failed:
            result = replace(result, data=None)  # nothing of it will be stored, so nothing of it may be shown
        if unit.stopped is not None:
            raise unit.stopped
        answer = render(result) if render is not None else _UNRENDERED
        stored = answer if 200 <= answer.status < 300 else None
        return Outcome((result, answer), keep=not result.failed, answer=stored)

    try:
        return await unit_of_work.run(unit, work)
    except (DatabaseUnavailable, TimeoutError) as error:
        log.warning("database unavailable", error=str(error), request_id=context.request_id)
        raise unavailable() from error


_UNRENDERED = Answer(0, b"")


async def _run(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: Operation,
    variables: Mapping[str, Any],
    context: Context,
) -> Result:
    name = operation.definition.name.value if operation.definition.name is not None else None
    outcome = graphql.execute(
        schema,
        document,
        context_value=context,
        variable_values=dict(variables),
        operation_name=name,
        is_async_iterable=_never,
    )
    if isinstance(outcome, Awaitable):
        outcome = await outcome
    assert isinstance(outcome, graphql.ExecutionResult)
    errors = tuple(outcome.errors or ())
    executed = outcome.data is not None or any(error.path for error in errors)  # else the variables were refused
    return Result(outcome.data, errors, executed)


def _never(_: object) -> TypeGuard[AsyncIterable[Any]]:
    """No field gives a stream: saves asking every value."""
    return False


def error_of(error: GraphQLError, request_id: str) -> DomainError:
    """The caller's view of an error: our own as they are, those of GraphQL as VALIDATION_ERROR, all else masked."""
    original = error.original_error
    while isinstance(original, GraphQLError) and original.original_error is not None:
        original = original.original_error
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


# A mutation's root fields, each as a document of its own


def _split(definition: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> list[DocumentNode]:
    by_key: dict[str, list[SelectionNode]] = {}
    for key, selection in _root_fields(definition.selection_set.selections, fragments):
        by_key.setdefault(key, []).append(selection)
    documents = []
    for selections in by_key.values():
        part = _copy(definition, selection_set=SelectionSetNode(selections=tuple(selections)))
        documents.append(DocumentNode(definitions=(part, *fragments.values())))
    return documents


def _root_fields(
    selections: tuple[SelectionNode, ...], fragments: Mapping[str, FragmentDefinitionNode]
) -> list[tuple[str, SelectionNode]]:
    """Each root field with its response key, within the fragment that it stands in, which may have a condition."""
    found: list[tuple[str, SelectionNode]] = []
    for node in selections:
        match node:
            case FieldNode():
                found.append((node.alias.value if node.alias else node.name.value, node))
            case FragmentSpreadNode():
                inner = fragments[node.name.value].selection_set.selections
                found += [(key, _within(node, one)) for key, one in _root_fields(inner, fragments)]
            case InlineFragmentNode():
                inner = node.selection_set.selections
                found += [(key, _within(node, one)) for key, one in _root_fields(inner, fragments)]
    return found


def _within(fragment: FragmentSpreadNode | InlineFragmentNode, selection: SelectionNode) -> InlineFragmentNode:
    return InlineFragmentNode(
        type_condition=None,
        directives=fragment.directives,
        selection_set=SelectionSetNode(selections=(selection,)),
    )


def _copy(definition: OperationDefinitionNode, **changed: Any) -> OperationDefinitionNode:
    return OperationDefinitionNode(**{key: changed.get(key, getattr(definition, key)) for key in definition.keys})


# What an operation requires


def _requirements(
    schema: GraphQLSchema, document: DocumentNode, definition: OperationDefinitionNode
) -> list[tuple[Policy, FieldNode]]:
    """The scopes that the schema declares at the operation's fields, fragments included; each fragment once."""
    required: list[tuple[Policy, FieldNode]] = []
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    spread: dict[str, None] = {}
    info = graphql.TypeInfo(schema)

    class Collect(graphql.Visitor):
        def enter_field(self, node: FieldNode, *_: Any) -> None:
            field = info.get_field_def()
            declared = field.extensions.get("requires") if field is not None else None
            if declared is not None:
                required.append((declared, node))

        def enter_fragment_spread(self, node: FragmentSpreadNode, *_: Any) -> None:
            spread.setdefault(node.name.value)

    waiting: list[graphql.Node] = [definition]
    seen = 0
    while waiting:
        graphql.visit(waiting.pop(), graphql.TypeInfoVisitor(info, Collect()))
        waiting += [fragments[name] for name in list(spread)[seen:]]
        seen = len(spread)
    return required
