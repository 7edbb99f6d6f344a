"""Introspection, answered from the schema without the executor of graphql-core, which takes ten times as long for it.

What a schema says of itself is there at once, the same for everyone, and tells of the same types over and over: what
one selection says of one type is worked out once for each request. What goes wrong within it, such as a null for an
argument that takes none, leaves nothing of that `__schema` or `__type`; graphql-core leaves what is around.
"""

from collections.abc import Callable
from copy import copy
from functools import cache
from typing import Any, Final, cast

import graphql
from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
)

Sets = tuple[SelectionSetNode, ...]
"""Selection sets whose fields are merged."""

_ANSWERED: Final = GraphQLScalarType("Introspected", coerce_output_value=lambda answer: answer)
"""To the executor the answer is one value, that it need not look into."""


@cache
def executable(schema: GraphQLSchema) -> GraphQLSchema:
    """The schema for the executor: `__schema` and `__type` are answered here. Documents are validated by the other."""
    copied = copy(schema)
    ours = {
        name: GraphQLField(_ANSWERED, args=field.args, resolve=_answering(field))
        for name, field in (("__schema", graphql.SchemaMetaFieldDef), ("__type", graphql.TypeMetaFieldDef))
    }

    def get_field(parent_type: GraphQLCompositeType, field_name: str) -> GraphQLField | None:
        if field_name in ours and parent_type is schema.query_type:
            return ours[field_name]
        return schema.get_field(parent_type, field_name)

    copied.get_field = get_field  # type: ignore[method-assign]
    return copied


def _answering(field: GraphQLField) -> Callable[..., Any]:
    resolve = field.resolve
    assert resolve is not None

    def answer(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        sets = tuple(node.selection_set for node in info.field_nodes if node.selection_set is not None)
        return _Answer(info).value(field.type, resolve(source, info, **arguments), sets)

    return answer


class _Planned:
    """A field of merged selection sets: under which key, how it is read, and what is selected below it."""

    def __init__(self, key: str, field: GraphQLField, nodes: list[FieldNode], info: GraphQLResolveInfo[Any]) -> None:
        assert field.resolve is not None
        self.key = key
        self.type = field.type
        self.resolve = field.resolve
        self.arguments = graphql.get_argument_values(field, nodes[0], info.variable_values, None, True)
        self.sets = tuple(node.selection_set for node in nodes if node.selection_set is not None)


class _Answer:
    """The answer to one introspection field of a request."""

    def __init__(self, info: GraphQLResolveInfo[Any]) -> None:
        self._info = info
        self._plans: dict[tuple[int, ...], list[_Planned]] = {}
        self._told: dict[tuple[int, ...], dict[str, Any]] = {}

    def value(self, type_: GraphQLOutputType, value: Any, sets: Sets) -> Any:
        if isinstance(type_, GraphQLNonNull):
            type_ = type_.of_type
        if value is None:
            return None
        if isinstance(type_, GraphQLList):
            return [self.value(type_.of_type, one, sets) for one in value]
        if isinstance(type_, GraphQLObjectType):
            return self._object(type_, value, sets)
        return value if type(value) in (str, bool) else cast(Any, type_).coerce_output_value(value)

    def _object(self, type_: GraphQLObjectType, value: Any, sets: Sets) -> dict[str, Any]:
        place = tuple(map(id, sets))
        plan = self._plans.get(place)
        if plan is None:
            plan = self._plans[place] = self._plan(type_, sets)
        if not isinstance(value, graphql.GraphQLType):
            return self._read(type_, value, plan)
        key = (id(value), *place)  # types live as long as the schema
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = self._read(type_, value, plan)
        return told

    def _read(self, type_: GraphQLObjectType, value: Any, plan: list[_Planned]) -> dict[str, Any]:
        return {
            one.key: type_.name
            if one.resolve is graphql.TypeNameMetaFieldDef.resolve
            else self.value(one.type, one.resolve(value, self._info, **one.arguments), one.sets)
            for one in plan
        }

    def _plan(self, type_: GraphQLObjectType, sets: Sets) -> list[_Planned]:
        merged: dict[str, list[FieldNode]] = {}
        spread: set[str] = set()
        for one in sets:
            self._collect(type_, one, merged, spread)
        plan: list[_Planned] = []
        for key, nodes in merged.items():
            field = self._info.schema.get_field(type_, nodes[0].name.value)
            assert field is not None, "the document was validated"
            plan.append(_Planned(key, field, nodes, self._info))
        return plan

    def _collect(
        self, type_: GraphQLObjectType, selected: SelectionSetNode, merged: dict[str, list[FieldNode]], spread: set[str]
    ) -> None:
        for node in selected.selections:
            if not self._included(node):
                continue
            match node:
                case FieldNode():
                    merged.setdefault((node.alias or node.name).value, []).append(node)
                case InlineFragmentNode(type_condition=condition):
                    if condition is None or condition.name.value == type_.name:
                        self._collect(type_, node.selection_set, merged, spread)
                case FragmentSpreadNode() if node.name.value not in spread:
                    spread.add(node.name.value)
                    fragment = self._info.fragments[node.name.value]
                    if fragment.type_condition.name.value == type_.name:
                        self._collect(type_, fragment.selection_set, merged, spread)

    def _included(self, node: graphql.SelectionNode) -> bool:
        if not node.directives:
            return True
        given = self._info.variable_values
        skip = graphql.get_directive_values(graphql.GraphQLSkipDirective, node, given)
        include = graphql.get_directive_values(graphql.GraphQLIncludeDirective, node, given)
        return not (skip and skip["if"]) and (include is None or include["if"])
