"""Plans: each route's document, compiled against the schema at start-up.

One walk of the document yields what a request is read into, the shape of the answer, and what OpenAPI says of both. A
document without a route, a route without a document, or a field that the schema does not have stops the start.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import graphql
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
)
from strawberry.types.field import StrawberryField

from executor import PROMISE, Reads
from rest_compat.routes import ROUTES, Route
from schema.checks import Member, Shape
from schema.documents import Operation, prepare
from schema.fields import COMMANDS, QUERIES, SUBSCRIPTIONS, Root

DOCUMENTS = Path(__file__).parent / "documents"

ROOTS = {
    graphql.OperationType.QUERY: QUERIES,
    graphql.OperationType.MUTATION: COMMANDS,
    graphql.OperationType.SUBSCRIPTION: SUBSCRIPTIONS,
}

Convert = Callable[[Any], Any]


class PlanError(Exception):
    """The route table, the documents and the schema do not fit together."""


@dataclass(frozen=True)
class Output:
    """A member of an answer: its name and its GraphQL type, and the members below it."""

    name: str
    type: GraphQLOutputType
    description: str
    members: tuple["Output", ...] = ()
    is_integer_id: bool = False
    """Whether it is a typed id, which is shown as its integer; those of events are shown as they are."""
    is_told_plain: bool = False
    """Whether a plain operation tells it as REST shows it."""


@dataclass(frozen=True)
class Plan:
    """A route that is ready to run."""

    route: Route
    operation: Operation
    root: Root
    body: Shape
    """The members of the request's body."""
    filter: Shape
    """For lists: the filters of the query string."""
    sorts: dict[str, str]
    """For lists: value of `?sort=` → GraphQL's name."""
    type: GraphQLObjectType | GraphQLInterfaceType
    """What is answered; of a list, one of its objects."""
    output: tuple[Output, ...]
    convert: Convert | None
    """From GraphQL's data to REST's: integer ids, lower-case enums."""
    convert_plain: Convert | None
    """The same of what a plain operation tells: it has done nearly all of it, and this the rest; None for nothing."""

    @cached_property
    def is_list(self) -> bool:
        return self.route.is_list

    @cached_property
    def is_log(self) -> bool:
        return self.route.is_log

    def shown(self, objects: list[Any], *, is_plain: bool) -> list[Any]:
        """Objects as REST shows them."""
        convert = self.convert_plain if is_plain else self.convert
        return objects if convert is None else [convert(one) for one in objects]


@cache
def compile_plans(schema: GraphQLSchema) -> tuple[Plan, ...]:
    """Every route's plan; compiled once for a schema, however many applications a process has."""
    documents = _read_documents(schema)
    names = {route.document for route in ROUTES}
    if unused := sorted(set(documents) - names):
        raise PlanError(f"No route uses the document {unused[0]}.")
    if absent := sorted(names - set(documents)):
        raise PlanError(f"There is no document {absent[0]}.")
    return tuple(_compile(schema, route, *documents[route.document]) for route in ROUTES)


def _read_documents(schema: GraphQLSchema) -> dict[str, tuple[DocumentNode, OperationDefinitionNode]]:
    found: dict[str, tuple[DocumentNode, OperationDefinitionNode]] = {}
    for path in sorted(DOCUMENTS.glob("*.graphql")):
        whole = graphql.parse(graphql.Source(path.read_text(), path.name))
        if errors := graphql.validate(schema, whole):
            raise PlanError(f"{path.name}: {errors[0]}")
        for node in whole.definitions:
            if isinstance(node, OperationDefinitionNode):
                assert node.name is not None, "an operation of the route table has a name"
                found[node.name.value] = whole, node
    return found


def _compile(schema: GraphQLSchema, route: Route, whole: DocumentNode, definition: OperationDefinitionNode) -> Plan:
    fragments = {node.name.value: node for node in whole.definitions if isinstance(node, FragmentDefinitionNode)}
    document = DocumentNode(definitions=(definition, *_used(definition.selection_set, fragments).values()))
    field = _answering(definition)
    is_mutation = definition.operation is graphql.OperationType.MUTATION
    root = ROOTS[definition.operation][field.name.value]
    parent = schema.get_root_type(definition.operation)
    assert parent is not None
    type_ = parent.fields[field.name.value].type
    selection = field.selection_set
    if route.is_list:
        selection, type_ = _nodes(selection, type_)
    output = tuple(_outputs(selection, type_, fragments))
    answered = graphql.get_named_type(type_)
    assert isinstance(answered, GraphQLObjectType | GraphQLInterfaceType)
    assert route.is_stream == (definition.operation is graphql.OperationType.SUBSCRIPTION)
    sort = root.arguments.members.get("sort")
    return Plan(
        route=route,
        operation=prepare(schema, document, definition, is_plain=True),
        root=root,
        body=_body(root) if is_mutation else Shape({}, dict),
        filter=_without(_shape(root.arguments.members.get("filter")), route.below),
        sorts={_sort_text(one): one.name for one in sort.type} if sort is not None else {},
        type=answered,
        output=output,
        convert=_object(output, is_plain=False),
        convert_plain=_object(output, is_plain=True),
    )


def _body(root: Root) -> Shape:
    """The members of `input`, and the other arguments but the id of the path."""
    members: dict[str, Member] = {}
    for name, member in root.arguments.members.items():
        if member.shape is not None:
            members |= member.shape.members
        elif name != "id":
            members[name] = member
    return Shape(members, dict)


def _shape(member: Member | None) -> Shape:
    return member.shape if member is not None and member.shape is not None else Shape({}, dict)


def _without(shape: Shape, name: str | None) -> Shape:
    """The filters without the one that the path gives."""
    assert name is None or name in shape.members, f"the path stands for the filter {name}, and there is none"
    return Shape({key: member for key, member in shape.members.items() if key != name}, shape.make)


def _answering(definition: OperationDefinitionNode) -> FieldNode:
    """The root field that is answered, called `data`; others are there to fail, such as a list's object of the path."""
    for node in definition.selection_set.selections:
        if isinstance(node, FieldNode) and node.alias is not None and node.alias.value == "data":
            return node
    raise PlanError("An operation of the route table calls what it answers data.")


def _sort_text(sort: Any) -> str:
    column, mark, _ = str(sort.value).partition(" desc")
    return f"-{column}" if mark else column


def _used(
    selection: SelectionSetNode | None, fragments: dict[str, FragmentDefinitionNode]
) -> dict[str, FragmentDefinitionNode]:
    used: dict[str, FragmentDefinitionNode] = {}
    for node in selection.selections if selection else ():
        if isinstance(node, FragmentSpreadNode):
            used[node.name.value] = fragments[node.name.value]
            used |= _used(fragments[node.name.value].selection_set, fragments)
        elif isinstance(node, FieldNode):
            used |= _used(node.selection_set, fragments)
    return used


def _nodes(
    selection: SelectionSetNode | None, type_: GraphQLOutputType
) -> tuple[SelectionSetNode | None, GraphQLOutputType]:
    """What a list selects of each node, and the node's type."""
    connection = graphql.get_named_type(type_)
    assert selection is not None
    assert isinstance(connection, GraphQLObjectType)
    for node in selection.selections:
        if isinstance(node, FieldNode) and node.name.value == "nodes":
            return node.selection_set, connection.fields["nodes"].type
    raise PlanError("A list selects its nodes.")


def _outputs(
    selection: SelectionSetNode | None, type_: GraphQLOutputType, fragments: dict[str, FragmentDefinitionNode]
) -> list[Output]:
    parent = graphql.get_named_type(type_)
    assert selection is not None
    assert isinstance(parent, GraphQLObjectType | GraphQLInterfaceType)
    outputs: list[Output] = []
    for node in selection.selections:
        if isinstance(node, FragmentSpreadNode):
            outputs += _outputs(fragments[node.name.value].selection_set, type_, fragments)
        elif isinstance(node, FieldNode):
            field = parent.fields[node.name.value]
            below = tuple(_outputs(node.selection_set, field.type, fragments)) if node.selection_set else ()
            name = node.alias.value if node.alias else node.name.value
            is_id = _is_integer_id(field)
            outputs.append(Output(name, field.type, field.description or "", below, is_id, _is_told_plain(field)))
    return outputs


def _is_integer_id(field: GraphQLField) -> bool:
    declared = field.extensions.get("strawberry-definition")
    untyped = isinstance(declared, StrawberryField) and declared.metadata.get("column") is not None
    return graphql.get_named_type(field.type) is graphql.GraphQLID and not untyped


def _is_told_plain(field: GraphQLField) -> bool:
    promise = field.extensions.get(PROMISE)
    is_enum = isinstance(graphql.get_named_type(field.type), GraphQLEnumType)
    return is_enum or (isinstance(promise, Reads) and promise.is_plain)


# From GraphQL's data to REST's


def _object(members: tuple[Output, ...], *, is_plain: bool) -> Convert | None:
    found = [(one.name, _converter(one, is_plain=is_plain)) for one in members]
    converters = [(name, convert) for name, convert in found if convert is not None]
    if not converters:
        return None

    def convert_object(value: Any) -> Any:
        for name, convert in converters:
            if (inner := value[name]) is not None:
                value[name] = convert(inner)
        return value

    return convert_object


def _converter(output: Output, *, is_plain: bool) -> Convert | None:
    inner: Convert | None = None
    if output.members:
        inner = _object(output.members, is_plain=is_plain)
    elif not (is_plain and output.is_told_plain):
        named = graphql.get_named_type(output.type)
        if isinstance(named, GraphQLEnumType):
            values = {name: str(value.value) for name, value in named.values.items()}
            inner = values.__getitem__
        elif output.is_integer_id:
            inner = _integer
    if inner is not None and isinstance(graphql.get_nullable_type(output.type), GraphQLList):
        return lambda items, one=inner: [one(item) for item in items]  # type: ignore[misc]
    return inner


def _integer(id: str) -> int:
    return int(id.rpartition("_")[2])
