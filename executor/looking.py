"""Looking ahead: which attributes are read of the objects that a field leads to."""

from collections.abc import Callable
from typing import Any

import graphql
from graphql import GraphQLEnumType, GraphQLObjectType, GraphQLScalarType, GraphQLSchema
from graphql.execution.collect_fields import FieldDetailsList, GroupedFieldSet

from executor.pieces import Selected
from executor.promises import PROMISE, Calls, Columns, Gathers, Reads

Subfields = Callable[[GraphQLObjectType, FieldDetailsList], GroupedFieldSet]


def columns_read(schema: GraphQLSchema, subfields: Subfields, of: str, selected: Selected) -> Columns:
    """The attributes that are read of the objects of a type, down to where fields lead on from them."""
    found: dict[str, None] = {}

    def are_all(type_: Any, details: FieldDetailsList) -> bool:
        """Finds those below a field; tells whether there can be no others."""
        named = graphql.get_named_type(type_)
        if not isinstance(named, GraphQLObjectType):
            return isinstance(named, GraphQLScalarType | GraphQLEnumType)
        for below in subfields(named, details).values():
            field = schema.get_field(named, below[0].node.name.value)
            if field is None or field is graphql.TypeNameMetaFieldDef:
                continue
            promise = field.extensions.get(PROMISE)
            if named.name == of:
                columns = _columns_of(promise)
                if columns is None:
                    return False
                found.update(dict.fromkeys(columns))
            if isinstance(promise, Reads) and not are_all(field.type, below):
                return False
        return True

    return tuple(found) if are_all(selected.field.type, selected.details) else None


def _columns_of(promise: Any) -> Columns:
    """The attributes of its object that a field reads."""
    match promise:
        case Reads():
            return promise.columns
        case Calls():
            return promise.needs
        case Gathers():
            return None if promise.attribute is None else (promise.attribute,)
        case _:
            return None
