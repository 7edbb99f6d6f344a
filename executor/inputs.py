"""Inputs: variables and arguments coerced as graphql-core does it, with what is the same each time asked once.

What does not fit raises Unexpected: graphql-core will say how, as it executes the operation again.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import graphql
from graphql import (
    FieldNode,
    GraphQLArgument,
    GraphQLError,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    Undefined,
    VariableDefinitionNode,
    VariableNode,
    VariableValues,
    Visitor,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValueSource, coerce_argument, input_is_nested_too_deeply
from graphql.utilities.coerce_input_value import coerce_default_value, coerce_input_value

from executor.leaves import Unexpected
from executor.pieces import Unsupported

Coerce = Callable[[Any], Any]

NO_VARIABLES: Final = VariableValues({}, {})


class Declared(NamedTuple):
    """A variable as an operation declares it."""

    signature: GraphQLVariableSignature
    coerce: Coerce
    default: Any
    """What it is where no value is given; Undefined where it is left out."""


class Variables:
    """The variables of one operation."""

    def __init__(self, schema: GraphQLSchema, definitions: Sequence[VariableDefinitionNode]) -> None:
        self._declared = [_declared(schema, node) for node in definitions]

    def coerced(self, given: dict[str, Any]) -> VariableValues:
        """The values of what callers have given."""
        if not self._declared:
            return NO_VARIABLES
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for signature, coerce, default in self._declared:
            name = signature.name
            value = given.get(name, Undefined)
            sources[name] = VariableValueSource(signature, value)
            if value is not Undefined:
                coerced[name] = coerce(value)
            elif default is not Undefined:
                coerced[name] = default
            elif isinstance(signature.type, GraphQLNonNull):
                raise Unexpected("no value")
        return VariableValues(sources, coerced)


def _declared(schema: GraphQLSchema, node: VariableDefinitionNode) -> Declared:
    signature = get_variable_signature(schema, node)
    if isinstance(signature, GraphQLError):
        raise Unsupported("a variable of no such type")
    default = Undefined
    if node.default_value:
        known = graphql.get_variable_values(schema, [node], {})
        if isinstance(known, list):
            raise Unsupported("a default value that does not fit")
        default = known.coerced[signature.name]
    return Declared(signature, coercion(signature.type), default)


def coercion(type_: GraphQLInputType) -> Coerce:
    """A function that coerces values of a type."""
    coerce = _coercion(type_, {})
    if graphql.is_leaf_type(graphql.get_nullable_type(type_)):
        return coerce

    def bounded(value: Any) -> Any:
        if input_is_nested_too_deeply(value, type_):
            raise Unexpected("nested too deeply")
        return coerce(value)

    return bounded


def _coercion(type_: GraphQLInputType, known: dict[str, Coerce]) -> Coerce:
    if isinstance(type_, GraphQLNonNull):
        inner = _coercion(type_.of_type, known)

        def some(value: Any) -> Any:
            if value is None:
                raise Unexpected("null")
            return inner(value)

        return some
    if isinstance(type_, GraphQLList):
        return _list(_coercion(type_.of_type, known))
    if isinstance(type_, GraphQLInputObjectType):
        return _object(type_, known)
    read = type_.coerce_input_value

    def leaf(value: Any) -> Any:
        if value is None:
            return None
        if (coerced := read(value)) is Undefined:
            raise Unexpected("a leaf")
        return coerced

    return leaf


def _list(each: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None:
            return None
        return [each(item) for item in value] if isinstance(value, list | tuple) else [each(value)]

    return coerce


def _object(type_: GraphQLInputObjectType, known: dict[str, Coerce]) -> Coerce:
    if type_.is_one_of:
        return partial(_by_graphql, type_)
    if type_.name in known:
        return known[type_.name]

    def coerce(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict) or not value.keys() <= names:
            raise Unexpected("an input")
        coerced = {}
        for name, out_name, each, default in members:
            if name in value:
                coerced[out_name] = each(value[name])
            elif default is Unexpected:
                raise Unexpected("no value")
            elif default is not Undefined:
                coerced[out_name] = default
        return make(coerced)

    known[type_.name] = coerce  # it may be met below itself
    names, make = type_.fields.keys(), type_.out_type
    members = [
        (
            name,
            field.out_name or name,
            _coercion(field.type, known),
            Unexpected if graphql.is_required_input_field(field) else coerce_default_value(field),
        )
        for name, field in type_.fields.items()
    ]
    return coerce


def _by_graphql(type_: GraphQLInputType, value: Any) -> Any:
    if (coerced := coerce_input_value(value, type_)) is Undefined:
        raise Unexpected("an input")
    return coerced


class Given(NamedTuple):
    """An argument where its field is selected."""

    name: str
    """By which the resolver knows it."""
    variable: str | None
    """The variable that gives its value."""
    otherwise: Any
    """Its value where no variable gives one; Undefined where it is left out, Unexpected where it may not be."""
    is_required: bool


class Arguments:
    """The arguments of a field where it is selected."""

    def __init__(self, field: GraphQLField, node: FieldNode) -> None:
        self._field = field
        self._node = node
        self._given: list[Given] | None
        try:
            self._given = [self._argument(name, argument) for name, argument in field.args.items()]
        except (GraphQLError, Unexpected):
            self._given = None  # graphql-core reads them in each run

    def values(self, variables: VariableValues) -> dict[str, Any]:
        if self._given is None:
            return graphql.get_argument_values(self._field, self._node, variables)
        values: dict[str, Any] = {}
        for name, variable, otherwise, is_required in self._given:
            if variable in variables.coerced:
                value = values[name] = variables.coerced[variable]
                if value is None and is_required:
                    raise Unexpected("null")
            elif otherwise is Unexpected:
                raise Unexpected("no value")
            elif otherwise is not Undefined:
                values[name] = otherwise
        return values

    def _argument(self, name: str, argument: GraphQLArgument) -> Given:
        written = next((one for one in self._node.arguments or () if one.name.value == name), None)
        variable = None
        if written is not None and isinstance(written.value, VariableNode):
            variable, written = written.value.name.value, None
        elif written is not None and _has_variables(written.value):
            raise Unexpected("variables within a value")
        out_name = argument.out_name or name
        is_required = isinstance(argument.type, GraphQLNonNull)
        if variable is not None and graphql.is_required_argument(argument):
            return Given(out_name, variable, Unexpected, is_required)
        values: dict[str, Any] = {}
        coerce_argument(values, self._node, name, argument, written, NO_VARIABLES, None)
        return Given(out_name, variable, values.get(out_name, Undefined), is_required)


def _has_variables(node: graphql.ValueNode) -> bool:
    found = []

    class Find(Visitor):
        def enter_variable(self, one: VariableNode, *_: Any) -> None:
            found.append(one)

    graphql.visit(node, Find())
    return bool(found)


class Site(NamedTuple):
    """A field that takes arguments, which are coerced once for each run."""

    arguments: Arguments
    prepare: Callable[[dict[str, Any]], Any] | None

    def values(self, variables: VariableValues) -> Any:
        given = self.arguments.values(variables)
        return given if self.prepare is None else self.prepare(given)
