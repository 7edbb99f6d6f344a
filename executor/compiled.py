"""Compiled operations: compiled once, run as often as they are asked for.

A condition (@skip, @include) decides what is told at all, so there is one program for each answer to an operation's
conditions, written when that answer is first met. With the conditions known, graphql-core itself says which fields are
selected, and in what order.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import graphql
from graphql import (
    DirectiveNode,
    DocumentNode,
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    VariableNode,
    VariableValues,
)
from graphql.execution.collect_fields import (
    FieldDetailsList,
    FragmentDetails,
    GroupedFieldSet,
    collect_fields,
    collect_subfields,
)

from executor.inputs import Site, Variables
from executor.leaves import Unexpected
from executor.pieces import Unsupported
from executor.replay import replay
from executor.running import Below, Run
from executor.writing import Writer

MOST_PROGRAMS: Final = 8
"""One program for each answer to the conditions, but no more: graphql-core executes what is asked with others."""


class Failed(Exception):
    """Something went wrong, and graphql-core is to say what it is."""


class Program(NamedTuple):
    """What one operation is, its conditions known."""

    keys: tuple[str, ...]
    """The response keys of the root fields, in their order."""
    roots: tuple[Callable[[Run, dict[str, Any], Below], None], ...]
    """Each begins one of them."""
    writer: Writer


class PlainResult(ExecutionResult):
    """What a plain operation came to, where nothing went wrong: what graphql-core would tell in other words."""


class Prepared(dict[int, Any]):
    """What fields are called with, coerced when the first object asks for it."""

    def __init__(self, sites: list[Site], variables: VariableValues) -> None:
        self._sites = sites
        self._variables = variables

    def __missing__(self, number: int) -> Any:
        values = self[number] = self._sites[number].values(self._variables)
        return values


class Compiled:
    """An operation of a validated document; made by `compile_operation`."""

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, definition: OperationDefinitionNode, is_plain: bool
    ) -> None:
        root_type = schema.get_root_type(definition.operation)
        if root_type is None or schema.get_directive("defer") or schema.get_directive("stream"):
            raise Unsupported("a schema that graphql-core would not execute so")
        self._schema = schema
        self._document = document
        self._definition = definition
        self._name = definition.name.value if definition.name is not None else None
        self._root_type: GraphQLObjectType = root_type
        self._is_plain = is_plain
        self._result = PlainResult if is_plain else ExecutionResult
        fragments = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
        if any(node.variable_definitions for node in fragments):
            raise Unsupported("fragments with variables")
        self._fragments = {node.name.value: FragmentDetails(node) for node in fragments}
        self._variables = Variables(schema, definition.variable_definitions or ())
        self._conditions = tuple(sorted(_conditions(document)))
        self._programs: dict[tuple[bool, ...], Program | None] = {}
        """By the answers to the conditions; None where it is not supported with these."""
        self.replays = 0
        """How often graphql-core had to execute it after all."""
        if not self._conditions:
            self._programs[()] = self._compile(())

    @property
    def fields(self) -> int:
        """How many fields it was compiled to, which says what memory it takes."""
        return sum(program.writer.fields for program in self._programs.values() if program is not None)

    @property
    def sources(self) -> list[str]:
        """The source of each program, to be looked at."""
        return [program.writer.source for program in self._programs.values() if program is not None]

    async def run(
        self, root: Any, context: Any, variables: Mapping[str, Any], replaying: Callable[[], None] | None = None
    ) -> ExecutionResult:
        """Executes the operation, as graphql-core would. `replaying` is called before that has to do it after all."""
        run = Run(self._schema, self._document, self._name, root, context, variables)
        try:
            return self._result(await self._data(run), None)
        except Failed:
            self.replays += 1
        except asyncio.CancelledError:
            await run.end()
            raise
        try:
            await run.stop()
            if replaying is not None:
                replaying()
            return await replay(run)
        finally:
            await run.end()

    async def _data(self, run: Run) -> dict[str, Any]:
        below = Below()
        try:
            coerced = self._variables.coerced(dict(run.variables))
            program = self._program(coerced)
            run.arguments = Prepared(program.writer.sites, coerced)
            run.gatherings, run.namespace = program.writer.gatherings, program.writer.namespace
            run.is_alone = len(program.roots) == 1
            data: dict[str, Any] = dict.fromkeys(program.keys)
            for begin in program.roots:
                begin(run, data, below)
                if self._definition.operation is OperationType.MUTATION:  # one after the other
                    begun, below = below, Below()
                    await run.settle(begun)
            begun, below = below, Below()
            await run.settle(begun)
            return data
        except Exception as error:  # whatever it is, graphql-core will say it
            below.drop()
            raise Failed from error

    def _program(self, coerced: VariableValues) -> Program:
        conditions: tuple[Any, ...] = tuple(map(coerced.coerced.get, self._conditions))
        if conditions not in self._programs:
            if len(self._programs) == MOST_PROGRAMS or not all(type(one) is bool for one in conditions):
                raise Unexpected("conditions")
            self._programs[conditions] = None
            self._programs[conditions] = self._compile(conditions)
        program = self._programs[conditions]
        if program is None:
            raise Unexpected("conditions")
        return program

    def _compile(self, conditions: tuple[bool, ...]) -> Program:
        given = VariableValues({}, dict(zip(self._conditions, conditions, strict=True)))
        schema, operation, fragments = self._schema, self._definition, self._fragments

        def subfields(type_: GraphQLObjectType, details: FieldDetailsList) -> GroupedFieldSet:
            return collect_subfields(schema, fragments, given, operation, type_, details).grouped_field_set

        roots = collect_fields(schema, fragments, given, self._root_type, operation).grouped_field_set
        writer = Writer(schema, subfields, is_plain=self._is_plain)
        names = [writer.root(self._root_type, key, details) for key, details in roots.items()]
        writer.execute()
        return Program(tuple(roots), tuple(writer.namespace[name] for name in names), writer)


def compile_operation(
    schema: GraphQLSchema, document: DocumentNode, name: str | None = None, *, is_plain: bool = False
) -> Compiled:
    """Compiles an operation of a validated document; raises Unsupported.

    A plain one tells enums by their values, and what is made of attributes (`Reads`) as they are; where graphql-core
    has to execute it, it does not, so its result says which it is.
    """
    definition = graphql.get_operation_ast(document, name)
    if definition is None:
        raise Unsupported("no operation of that name")
    return Compiled(schema, document, definition, is_plain)


def _conditions(document: DocumentNode) -> set[str]:
    """The variables that conditions ask for."""
    found: set[str] = set()

    class Collect(graphql.Visitor):
        def enter_directive(self, node: DirectiveNode, *_: Any) -> None:
            if node.name.value in ("skip", "include"):
                values = [one.value for one in node.arguments or ()]
                found.update(value.name.value for value in values if isinstance(value, VariableNode))

    graphql.visit(document, Collect())
    return found
