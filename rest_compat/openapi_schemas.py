"""JSON Schema of what the REST door reads and shows: what is read from its checks, what is shown from its types."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import graphql
from graphql import GraphQLEnumType, GraphQLInterfaceType, GraphQLList, GraphQLNonNull, GraphQLObjectType

from rest_compat.plans import Output, Plan
from schema import checks
from schema.checks import MAX_ITEMS, Between, Check, Member, Shape, Text
from schema.deliveries import SENT_EVENTS, sent_event
from schema.endpoints import LONGEST_URL, endpoint_url
from schema.events import CATALOGUE
from schema.ids import Kind
from schema.moments import since, until
from schema.webhooks import EVERY_EVENT, event_name

Schema = dict[str, Any]

ID: Schema = {"type": "integer", "format": "int64", "minimum": 1}
EVENT_ID: Schema = {"type": "string", "pattern": "^evt_[0-9A-HJKMNP-TV-Z]{26}$"}
DATE: Schema = {"type": "string", "format": "date", "examples": ["2025-01-31"]}
TIME: Schema = {"type": "string", "format": "date-time", "examples": ["2025-01-15T12:00:00Z"]}
TIME_OR_DATE: Schema = {
    "type": "string",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].*)?$",
    "examples": ["2025-01-15", "2025-01-15T12:00:00Z"],
}

READ: dict[type, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer", "format": "int64"},
    bool: {"type": "boolean"},
    Decimal: {"type": ["string", "number"], "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,20})?$", "examples": ["29.99"]},
    date: DATE,
    datetime: TIME,
}
"""What a member of each Python type may be written as."""

FORMS: dict[Check, Schema] = {
    checks.email_address: {"format": "email", "maxLength": 255},
    checks.country_code: {"pattern": "^[A-Za-z]{2,3}$", "examples": ["GB", "GBR"]},
    checks.host_name: {"format": "idn-hostname", "maxLength": 255, "examples": ["shop.example.com"]},
    checks.moment: {},
    endpoint_url: {
        "format": "uri",
        "pattern": "^ *[Hh][Tt][Tt][Pp][Ss]?://[^ ]+ *$",
        "maxLength": LONGEST_URL,
        "examples": ["https://example.com/webhooks"],
    },
    event_name: {"enum": [EVERY_EVENT, *CATALOGUE]},
    sent_event: {"enum": list(SENT_EVENTS)},
    since: TIME_OR_DATE,
    until: TIME_OR_DATE,
}
"""What the checks that have no numbers of their own ask for."""

SHOWN: dict[str, Schema] = {
    "ID": ID,
    "Int": {"type": "integer", "format": "int64"},
    "String": {"type": "string"},
    "Boolean": {"type": "boolean"},
    "Money": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "examples": ["29.99"]},
    "Date": DATE,
    "DateTime": TIME,
    "JSON": {"type": "object"},
}
"""How the value of each GraphQL scalar is shown."""

_TYPED_ID = re.compile(rf"\b(?:{'|'.join(kind.value for kind in Kind)})_([0-9]+)\b")
_ONLY_AN_ID = re.compile(r"`[0-9]+`\.")


def nullable(schema: Schema) -> Schema:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if "null" in kinds:
        return schema
    more: Schema = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [*kinds, "null"], **more}


# What is read


def body_schema(shape: Shape) -> Schema:
    """An object that a caller sends."""
    schema: Schema = {"type": "object"}
    if required := [name for name, member in shape.members.items() if member.required]:
        schema["required"] = required
    schema["properties"] = {name: member_schema(member) for name, member in shape.members.items()}
    schema["additionalProperties"] = False
    return schema


def member_schema(member: Member) -> Schema:
    one = body_schema(member.shape) if member.shape is not None else _scalar(member)
    if member.many:
        one = {"type": "array", "minItems": 1, "maxItems": MAX_ITEMS, "items": one}
    if member.nullable:
        one = nullable(one)
    return _described(one, _words(member.description, member.type))


def parameter(member: Member) -> Schema:
    """A filter of a list; in a query string nothing is null."""
    schema = member_schema(replace(member, nullable=False))
    described = schema.pop("description", "")
    return {"name": member.name, "in": "query", "description": described, "schema": schema}


def _scalar(member: Member) -> Schema:
    kind = member.type
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"type": "string", "enum": [one.value for one in kind]}
    schema = dict(READ[kind])
    match member.check:
        case None:
            pass
        case Text(most=most, least=least):
            schema["maxLength"] = most
            schema["minLength"] = least
        case Between(least=least, most=most):
            schema |= {"minimum": least, "maximum": most}
        case checks.Reference():
            schema = dict(ID)
        case check:
            assert check in FORMS, f"OpenAPI does not know what {check} asks for"
            schema = dict(FORMS[check]) if "type" in FORMS[check] else schema | FORMS[check]
    if kind is str and not member.nullable:
        schema["minLength"] = max(1, schema.get("minLength", 0))
    if schema.get("minLength") == 0:
        del schema["minLength"]
    return schema


# What is shown


class Components:
    """The schemas of the objects that answers hold, each under the name of its GraphQL type.

    What GET shows of an object has the type's own name; what a list shows less of is called so.
    """

    def __init__(self, plans: Sequence[Plan], examples: Mapping[str, Any]) -> None:
        self.schemas: dict[str, Schema] = {}
        self._examples = examples
        self._members: dict[str, tuple[Output, ...]] = {}
        self._names: dict[str, str] = {}
        for plan in sorted(plans, key=lambda plan: plan.route.method != "GET" or plan.route.is_list):
            name = plan.type.name
            if self._members.setdefault(name, plan.output) != plan.output:
                name = f"{name}InList" if plan.route.is_list else f"{plan.route.document}Data"
                self._members[name] = plan.output
            self._names[plan.route.document] = name
        for plan in plans:
            self.answered(plan)

    def answered(self, plan: Plan) -> Schema:
        """What a plan answers with: a reference."""
        name = self._names[plan.route.document]
        if name not in self.schemas:
            self.schemas[name] = self.object(plan.type, plan.output)
        return {"$ref": f"#/components/schemas/{name}"}

    def example(self, type_name: str, members: Iterable[Output]) -> Any:
        """The type's example, with these members alone."""
        whole = self._examples.get(type_name)
        return None if whole is None else {one.name: whole[one.name] for one in members if one.name in whole}

    def object(self, type_: GraphQLObjectType | GraphQLInterfaceType, members: Sequence[Output]) -> Schema:
        schema = _described({"type": "object"}, _words(type_.description or "", None))
        schema["required"] = [one.name for one in members]
        schema["properties"] = {one.name: self.output(one) for one in members}
        if (example := self.example(type_.name, members)) is not None:
            schema["examples"] = [example]
        return schema

    def output(self, output: Output) -> Schema:
        """A member of an answer. Scalars stand where they are used: readers of the document see them at once."""
        named = graphql.get_named_type(output.type)
        if isinstance(named, GraphQLObjectType):
            schema = self._nested(named, output.members)
        elif isinstance(named, GraphQLEnumType):
            schema = {"type": "string", "enum": [str(value.value) for value in named.values.values()]}
        else:
            schema = EVENT_ID if named is graphql.GraphQLID and not output.is_integer_id else SHOWN[named.name]
        if isinstance(graphql.get_nullable_type(output.type), GraphQLList):
            schema = {"type": "array", "items": schema}
        if not isinstance(output.type, GraphQLNonNull):
            schema = {"anyOf": [schema, {"type": "null"}]} if "$ref" in schema else nullable(schema)
        return _described(schema, _words(output.description, named))

    def _nested(self, named: GraphQLObjectType, members: tuple[Output, ...]) -> Schema:
        if self._members.setdefault(named.name, members) != members:
            return self.object(named, members)
        if named.name not in self.schemas:
            self.schemas[named.name] = self.object(named, members)
        return {"$ref": f"#/components/schemas/{named.name}"}


# Words


def _described(schema: Schema, words: str) -> Schema:
    return {**schema, "description": words} if words else dict(schema)


def _words(text: str, kind: Any) -> str:
    """A description of the GraphQL schema in REST's forms: integer ids, lower-case enums."""
    text = _TYPED_ID.sub(r"\1", text)
    names: dict[str, str] = {}
    if isinstance(kind, GraphQLEnumType):
        names = {name: str(value.value) for name, value in kind.values.items()}
    elif isinstance(kind, type) and issubclass(kind, Enum):
        names = {one.name: str(one.value) for one in kind}
    for name, value in names.items():
        text = text.replace(f"`{name}`", f"`{value}`")
    return "Its id." if _ONLY_AN_ID.fullmatch(text) else text
