"""What a GraphQL document may ask for: its size, shape and cost, measured before it is validated or run.

Validation and execution expand fragments, so a short document can ask for exponential work. Here each
definition is walked once, fragments before those that spread them, and a spread adds the sum that its
fragment already has: the time is linear in the length of the document. Whatever parses can be measured,
so unknown types, fields, fragments and variables are no errors here; validation names them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Final

import graphql
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLArgument,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLOutputType,
    GraphQLSchema,
    GraphQLUnionType,
    InlineFragmentNode,
    IntValueNode,
    NamedTypeNode,
    NullValueNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Undefined,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_list_type,
)

MAX_BYTES: Final = 65_536
MAX_TOKENS: Final = 2_000
MAX_OPERATIONS: Final = 5
MAX_FRAGMENTS: Final = 50
MAX_DEPTH: Final = 12
MAX_FIELDS_PER_SELECTION: Final = 300
MAX_ROOT_FIELDS: Final = 20
MAX_MUTATIONS: Final = 5
MAX_ALIASES: Final = 30
MAX_DIRECTIVES: Final = 20
MAX_COST: Final = 5_000
MAX_LIST: Final = 1_000
MAX_INTROSPECTION_DEPTH: Final = 20
MAX_INTROSPECTION_LISTS: Final = 2
MAX_INTROSPECTIONS: Final = 3

DEFAULT_PAGE: Final = 25
MAX_PAGE: Final = 100

_PAGE_ARGUMENTS: Final = ("first", "last")
_INTROSPECTION: Final = frozenset({"__schema", "__type"})
_INTROSPECTION_LISTS: Final = frozenset({"types", "fields", "inputFields", "interfaces", "possibleTypes", "enumValues"})
_SATURATED: Final = 1_000_000_000


class LimitError(ValueError):
    """The document asks for more than is allowed; the text is a sentence for the caller."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What an operation, or one selection set of it, asks for when every fragment is expanded.

    `@skip` and `@include` are not looked at, so each number is an upper bound; none exceeds a billion.
    """

    depth: int = 0
    """Levels of fields; `__schema` and `__type` count as one level with all that is below them."""
    cost: int = 0
    """One for each field, times the page size of each connection above it; introspection is one in all."""
    aliases: int = 0
    root_fields: int = 0
    """Fields of this selection set itself."""
    directives: int = 0
    fields: int = 0
    """Fields on all levels."""
    introspection_lists: int = 0
    """Lists of types, fields or values within each other; only looked at below `__schema` and `__type`."""
    introspections: int = 0
    """How many `__schema` and `__type` there are."""

    def __add__(self, other: "Measure") -> "Measure":
        return Measure(
            depth=max(self.depth, other.depth),
            cost=min(self.cost + other.cost, _SATURATED),
            aliases=min(self.aliases + other.aliases, _SATURATED),
            root_fields=min(self.root_fields + other.root_fields, _SATURATED),
            directives=min(self.directives + other.directives, _SATURATED),
            fields=min(self.fields + other.fields, _SATURATED),
            introspection_lists=max(self.introspection_lists, other.introspection_lists),
            introspections=min(self.introspections + other.introspections, _SATURATED),
        )


_NOTHING: Final = Measure()


def parse(text: str) -> DocumentNode:
    """The document of a text of bounded size; raises LimitError, or GraphQLSyntaxError with its position."""
    _limit(len(text.encode(errors="surrogatepass")), MAX_BYTES, "The document is {} bytes long")
    return graphql.parse(text, max_lexical_tokens=MAX_TOKENS, max_comments=MAX_TOKENS)


def measure(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, object] | None,
) -> Measure:
    """What the operation asks for; raises LimitError when the document or the operation is beyond a limit.

    Validation reads the other operations and the unused fragments too, so the limits on their number, on
    cycles, on introspection and on the fields of one selection set hold for the whole document; the others
    for the operation alone.
    """
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    fragments = [node for node in document.definitions if isinstance(node, FragmentDefinitionNode)]
    _limit(len(operations), MAX_OPERATIONS, "The document has {} operations")
    _limit(len(fragments), MAX_FRAGMENTS, "The document has {} fragments")

    limit_lists(variables or {})
    walk = _Walk(schema, operation, variables or {})
    for fragment in _spread_first(fragments):
        walk.add_fragment(fragment)
    for other in operations:
        if other is not operation:
            walk.operation(other)
    total = walk.operation(operation)

    kind = operation.operation
    _limit(total.depth, MAX_DEPTH, "The document is {} levels deep")
    _limit(
        total.root_fields,
        MAX_MUTATIONS if kind is OperationType.MUTATION else MAX_ROOT_FIELDS,
        f"The {kind.value} has {{}} root fields",
    )
    _limit(total.aliases, MAX_ALIASES, "The document has {} aliases")
    _limit(total.directives, MAX_DIRECTIVES, "The document has {} directives")
    _limit(total.introspections, MAX_INTROSPECTIONS, "The document introspects {} times")
    _limit(total.cost, MAX_COST, "The document costs {} points (each field one, times the pages above it)")
    return total


class _Walk:
    """Adds up selection sets, each once, with the page sizes of one operation."""

    def __init__(
        self, schema: GraphQLSchema, operation: OperationDefinitionNode, variables: Mapping[str, object]
    ) -> None:
        self._schema = schema
        declared = {
            definition.variable.name.value: definition.default_value
            for definition in operation.variable_definitions or ()
        }
        self._variables: Mapping[str, object] = {**declared, **variables}
        self._fragments: dict[str, Measure] = {}

    def add_fragment(self, node: FragmentDefinitionNode) -> None:
        total = self._selections(node.selection_set, self._named(node.type_condition))
        self._fragments[node.name.value] = total + _directives(node.directives)

    def operation(self, node: OperationDefinitionNode) -> Measure:
        total = self._selections(node.selection_set, self._schema.get_root_type(node.operation))
        for variable in node.variable_definitions or ():
            total += _directives(variable.directives)
        return total + _directives(node.directives)

    def _selections(self, node: SelectionSetNode | None, parent: GraphQLCompositeType | None) -> Measure:
        total = _NOTHING
        leaves = aliases = 0
        for selection in node.selections if node else ():
            match selection:
                case FieldNode(selection_set=None):
                    leaves += 1
                    aliases += selection.alias is not None
                case FieldNode():
                    total += self._field(selection, parent)
                case FragmentSpreadNode():
                    total += self._fragments.get(selection.name.value, _NOTHING)
                case InlineFragmentNode(type_condition=condition):
                    total += self._selections(selection.selection_set, self._named(condition) if condition else parent)
            if selection.directives:
                total += _directives(selection.directives)
        if leaves:
            total += Measure(depth=1, cost=leaves, aliases=aliases, root_fields=leaves, fields=leaves)
        _limit(total.root_fields, MAX_FIELDS_PER_SELECTION, "A selection set has {} fields")
        return total

    def _field(self, node: FieldNode, parent: GraphQLCompositeType | None) -> Measure:
        name = node.name.value
        definition = self._schema.get_field(parent, name) if parent else None
        below = self._selections(node.selection_set, _composite(definition.type) if definition else None)
        if definition and name in _INTROSPECTION:
            below = _introspection(node, below)
        if below.aliases and definition and parent and _is_unpaged(definition, parent):
            raise LimitError(f"Fields below `{name}` take no aliases: it has no pages, so each is told once.")
        return Measure(
            depth=1 + below.depth,
            cost=1 + below.cost * self._page(node, definition),
            aliases=below.aliases + (node.alias is not None),
            root_fields=1,
            directives=below.directives,
            fields=1 + below.fields,
            introspection_lists=below.introspection_lists + (name in _INTROSPECTION_LISTS),
            introspections=below.introspections + (name in _INTROSPECTION),
        )

    def _page(self, node: FieldNode, definition: GraphQLField | None) -> int:
        """How often a field below this one is resolved, at most: the page size of a connection, else once."""
        arguments = {name: definition.args[name] for name in _PAGE_ARGUMENTS if definition and name in definition.args}
        if not arguments:
            return 1
        given = [self._number(each.value) for each in node.arguments or () if each.name.value in arguments]
        defaults = [self._number(_default(argument)) for argument in arguments.values()]
        return _largest(given) or _largest(defaults) or DEFAULT_PAGE

    def _number(self, value: object) -> int | None:
        """A page size as the resolver will see it; null is absent, and what it will refuse counts as a full page."""
        match value:
            case None | NullValueNode():
                return None
            case VariableNode():
                return self._number(self._variables.get(value.name.value, Undefined))
            case IntValueNode(value=digits) if len(digits) < 10:
                return self._number(int(digits))
            case int() if not isinstance(value, bool):
                return max(1, min(value, MAX_PAGE))
            case _:
                return MAX_PAGE

    def _named(self, node: NamedTypeNode) -> GraphQLCompositeType | None:
        named = self._schema.get_type(node.name.value)
        return named if is_composite_type(named) else None


def _introspection(node: FieldNode, below: Measure) -> Measure:
    """Introspection costs nothing below its root, so limits of its own hold its answer to the size of the schema.

    The standard query needs neither aliases nor a third list: it never lists what the type of a field has.
    """
    _limit(1 + below.depth, MAX_INTROSPECTION_DEPTH, "The introspection is {} levels deep")
    _limit(below.introspection_lists, MAX_INTROSPECTION_LISTS, "The introspection nests {} lists")
    if below.aliases or (node.alias and node.name.value == "__schema"):
        raise LimitError("Introspection takes no aliases, but for `__type` itself.")
    return replace(below, depth=0, cost=0, introspection_lists=0)


def _is_unpaged(definition: GraphQLField, parent: GraphQLCompositeType) -> bool:
    """Whether it is a list of objects without pages: neither the cost nor a page size bounds what it tells."""
    return (
        is_list_type(get_nullable_type(definition.type))
        and not isinstance(parent, GraphQLUnionType)
        and "totalCount" not in parent.fields  # the nodes of a page
        and not parent.name.startswith("__")
    )


def _limit(value: int, most: int, finding: str) -> None:
    if value > most:
        raise LimitError(f"{finding.format(f'{value:,}')}; at most {most:,} are allowed.")


def limit_lists(variables: Mapping[str, object]) -> None:
    """Each entry of a list is dear to read; no list may have so many, and its own field says how many it takes."""
    waiting = list(variables.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            _limit(len(value), MAX_LIST, "A list in the variables has {} entries")
            waiting += value


def _spread_first(fragments: Iterable[FragmentDefinitionNode]) -> Iterator[FragmentDefinitionNode]:
    """The fragments, each after those that it spreads."""
    named = {node.name.value: node for node in fragments}
    spreads = {name: [spread for spread in _spreads(node) if spread in named] for name, node in named.items()}
    try:
        for name in TopologicalSorter(spreads).static_order():
            yield named[name]
    except CycleError as error:
        raise LimitError(f"The fragment {error.args[1][0]} spreads itself, directly or through others.") from None


def _spreads(fragment: FragmentDefinitionNode) -> Iterator[str]:
    waiting: list[SelectionSetNode | None] = [fragment.selection_set]
    while waiting:
        selections = waiting.pop()
        for selection in selections.selections if selections else ():
            match selection:
                case FragmentSpreadNode():
                    yield selection.name.value
                case FieldNode() | InlineFragmentNode():
                    waiting.append(selection.selection_set)


def _directives(nodes: tuple[graphql.DirectiveNode, ...] | None) -> Measure:
    return Measure(directives=len(nodes)) if nodes else _NOTHING


def _composite(output: GraphQLOutputType) -> GraphQLCompositeType | None:
    named = get_named_type(output)
    return named if is_composite_type(named) else None


def _default(argument: GraphQLArgument) -> object:
    if argument.default is None:
        # Where Strawberry keeps a default.
        return None if argument.default_value is Undefined else argument.default_value
    return argument.default.literal or argument.default.value


def _largest(numbers: Iterable[int | None]) -> int:
    return max((number for number in numbers if number is not None), default=0)
