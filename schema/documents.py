"""Documents: each text is parsed, bounded and validated once, kept, and made an operation that may be executed."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import graphql
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    NamedTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    OperationType,
    SelectionNode,
    SelectionSetNode,
    Undefined,
)
from graphql.validation.rules import overlapping_fields_can_be_merged

from schema import limits
from schema.actors import Actor, Policy
from schema.errors import DomainError
from schema.parts import Part, Shelf

CACHED_SIZE = 2_000_000
"""So much of documents is kept: their characters, and for each token what it takes once it is parsed."""
SIZE_OF_TOKEN = 50
MOST_COSTS = 100
"""So many sizes of pages are remembered for a document, with what they cost."""
MOST_RIGHTS = 100
"""So many sets of scopes are remembered for an operation."""
MAX_ERRORS = 20
"""So many errors of one document are told: each costs time, and an answer must not outgrow its request by far."""

# Comparing fields that could be merged is quadratic in graphql-core; beyond this much of it validation is refused.
overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 10_000
_GIVEN_UP = "The document selects the same fields so often that they cannot all be compared. Select each of them once."


@dataclass(frozen=True)
class Operation:
    """An operation that may be executed: validated, with what it requires."""

    document: DocumentNode
    definition: OperationDefinitionNode
    parts: tuple[Part, ...]
    """For a mutation one for each root field, else the whole."""
    requires: tuple[tuple[Policy, FieldNode], ...]
    """The policy of each field that has one, and the field."""
    _sufficient: set[tuple[frozenset[str], bool]] = field(default_factory=set)
    """Scopes that are known to be enough, of keys that are bound to no client or to one."""

    @property
    def is_mutation(self) -> bool:
        return self.definition.operation is OperationType.MUTATION

    def authorise(self, actor: Actor) -> tuple[GraphQLError, ...]:
        """What the actor lacks: nothing of the operation runs if it is anything."""
        rights = actor.scopes, actor.client_id is None
        if rights in self._sufficient:
            return ()
        missing: dict[str, tuple[DomainError, list[FieldNode]]] = {}
        for policy, node in self.requires:
            if (error := actor.lacks(policy)) is not None:
                missing.setdefault(error.message, (error, []))[1].append(node)
        if not missing and len(self._sufficient) < MOST_RIGHTS:
            self._sufficient.add(rights)
        return tuple(GraphQLError(error.message, nodes, original_error=error) for error, nodes in missing.values())


@dataclass(frozen=True)
class Kept:
    """A parsed document within the limits: what validation said of it, and those operations that were asked for."""

    document: DocumentNode
    errors: tuple[GraphQLError, ...]
    size: int
    operations: dict[str | None, Operation] = field(default_factory=dict)
    costs: dict[tuple[str | None, tuple[Any, ...]], int] = field(default_factory=dict)


class Documents:
    """The documents of one schema, by their text: parsed and validated once each, the least lately used dropped."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self.size = 0
        self.shelf = Shelf()

    def knows(self, text: str) -> bool:
        """Whether the document is kept, so that its operation costs little."""
        return text in self._kept

    def operation(self, text: str, name: str | None, variables: Mapping[str, Any]) -> tuple[Operation, int]:
        """The operation of a document, within the limits and validated, and what it costs with these variables.

        Raises GraphQLError or LimitError, or Invalid with the errors of the validation.
        """
        kept = self._kept.get(text)
        document = kept.document if kept is not None else limits.parse(text)
        definition = chosen(document, name)
        if kept is None:
            cost = limits.measure(self.schema, document, definition, variables).cost
            kept = self._keep(text, document)  # only what is within the limits is worth its place
        else:
            cost = self._cost(kept, name, definition, variables)
            self._kept.move_to_end(text)
        if kept.errors:
            raise Invalid(kept.errors)
        operation = kept.operations.get(name)
        if operation is None:
            operation = kept.operations[name] = prepare(self.schema, document, definition, self.shelf)
        return operation, cost

    def _cost(
        self, kept: Kept, name: str | None, definition: OperationDefinitionNode, variables: Mapping[str, Any]
    ) -> int:
        """What an operation of a kept document costs, measured once for each choice of the sizes of its pages."""
        limits.limit_lists(variables)
        sizes = tuple(variables.get(one, Undefined) for one in _integers(definition))
        if not all(type(size) is int or size is None or size is Undefined for size in sizes):
            return limits.measure(self.schema, kept.document, definition, variables).cost
        if (name, sizes) not in kept.costs:
            if len(kept.costs) == MOST_COSTS:
                kept.costs.clear()
            kept.costs[name, sizes] = limits.measure(self.schema, kept.document, definition, variables).cost
        return kept.costs[name, sizes]

    def _keep(self, text: str, document: DocumentNode) -> Kept:
        errors = [
            GraphQLError(_GIVEN_UP) if error.message == "Validation aborted." else error
            for error in graphql.validate(self.schema, document, max_errors=MAX_ERRORS, hide_suggestions=True)
        ]
        size = len(text) + SIZE_OF_TOKEN * document.token_count
        kept = self._kept[text] = Kept(document, tuple(errors), size)
        self.size += size
        while self.size > CACHED_SIZE:
            _, dropped = self._kept.popitem(last=False)
            self.size -= dropped.size
        return kept


def _integers(definition: OperationDefinitionNode) -> list[str]:
    """The variables that may say how long a page is: what an operation costs depends on no others."""
    return [
        one.variable.name.value
        for one in definition.variable_definitions or ()
        if isinstance(type_ := one.type.type if isinstance(one.type, NonNullTypeNode) else one.type, NamedTypeNode)
        and type_.name.value == "Int"
    ]


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


def prepare(
    schema: GraphQLSchema,
    document: DocumentNode,
    definition: OperationDefinitionNode,
    shelf: Shelf | None = None,
    *,
    is_plain: bool = False,
) -> Operation:
    """Prepares a validated operation; what callers have sent is compiled within the bounds of a shelf."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    documents = _split(definition, fragments) if definition.operation is OperationType.MUTATION else [document]
    name = definition.name.value if definition.name is not None else None
    parts = tuple(Part(one, name, shelf, is_plain=is_plain) for one in documents)
    return Operation(document, definition, parts, tuple(_requirements(schema, document, definition)))


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


def key_of(part: Part) -> str:
    """The response key of the one root field of a part."""
    (definition,) = (node for node in part.document.definitions if isinstance(node, OperationDefinitionNode))
    ((key, _), *_rest) = _root_fields(definition.selection_set.selections, {})
    return key


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
