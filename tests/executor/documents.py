"""Random valid documents of a schema: aliases, merged fields, fragments, conditions, variables, literals."""

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, NamedTuple

import graphql
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    Undefined,
)

Values = Callable[[Random, str, Any], Any]
"""A value for an argument or member of a name and a type, as JSON has it; Undefined to make one up."""


class Asked(NamedTuple):
    """A document with its variables."""

    text: str
    variables: dict[str, Any]


class Author:
    """Writes the documents of one seed."""

    def __init__(self, schema: GraphQLSchema, random: Random, values: Values, deepest: int = 4) -> None:
        self._schema = schema
        self._random = random
        self._values = values
        self._deepest = deepest

    def document(self, kind: str = "query", roots: list[str] | None = None) -> Asked:
        """One that is valid; those that are not are thrown away."""
        while True:
            asked = self._write(kind, roots)
            document = graphql.parse(asked.text)
            if not graphql.validate(self._schema, document):
                return asked

    def _write(self, kind: str, roots: list[str] | None) -> Asked:
        self._declared: dict[str, str] = {}
        self._given: dict[str, Any] = {}
        self._fragments: list[str] = []
        self._names = 0
        root = self._schema.get_root_type(graphql.OperationType(kind))
        assert root is not None
        if roots is None:
            selected = self._selection(root, 0)
        else:
            selected = "{ " + " ".join(self._field(name, root.fields[name], 0) for name in roots) + " }"
        declared = f"({', '.join(f'${name}: {type_}' for name, type_ in self._declared.items())})" * bool(
            self._declared
        )
        return Asked("\n".join([f"{kind} {declared} {selected}", *self._fragments]), self._given)

    def _selection(self, type_: Any, depth: int) -> str:
        random = self._random
        parts: list[str] = []
        fields: dict[str, GraphQLField] = {} if isinstance(type_, GraphQLUnionType) else type_.fields
        names = [
            name
            for name, field in fields.items()
            if depth < self._deepest or graphql.is_leaf_type(graphql.get_named_type(field.type))
        ]
        for name in random.choices(names, k=random.randint(1, 5)) if names else []:
            parts.append(self._field(name, fields[name], depth))
        if not parts or random.random() < 0.15:
            parts.append(f"{self._alias(0.3)}__typename{self._condition()}")
        if random.random() < 0.3:
            parts.append(self._fragment(type_, depth))
        random.shuffle(parts)
        return "{ " + " ".join(parts) + " }"

    def _fragment(self, type_: Any, depth: int) -> str:
        random = self._random
        on = type_
        if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType):
            on = random.choice([type_, *self._schema.get_possible_types(type_)])
        elif isinstance(type_, GraphQLObjectType) and type_.interfaces and random.random() < 0.3:
            on = random.choice(type_.interfaces)
        inner = self._selection(on, depth)
        if random.random() < 0.5:
            condition = f"on {on.name} " if on is not type_ or random.random() < 0.5 else ""
            return f"... {condition}{self._condition()} {inner}"
        name = self._name("F")
        self._fragments.append(f"fragment {name} on {on.name} {inner}")
        again = f" ...{name}" * (random.random() < 0.2)
        return f"...{name}{self._condition()}{again}"

    def _field(self, name: str, field: GraphQLField, depth: int) -> str:
        arguments = self._arguments(field.args)
        alias = self._alias(1.0 if arguments else 0.2)
        named = graphql.get_named_type(field.type)
        below = "" if graphql.is_leaf_type(named) else " " + self._selection(named, depth + 1)
        return f"{alias}{name}{arguments}{self._condition()}{below}"

    def _alias(self, chance: float) -> str:
        return f"{self._name('a')}: " if self._random.random() < chance else ""

    def _condition(self) -> str:
        if self._random.random() > 0.1:
            return ""
        directive = self._random.choice(("skip", "include"))
        value = self._random.random() < 0.5
        if self._random.random() < 0.4:
            return f" @{directive}(if: {json.dumps(value)})"
        name = self._random.choice(("c1", "c2", "c3"))
        self._declared.setdefault(name, "Boolean!")
        self._given.setdefault(name, value)
        return f" @{directive}(if: ${name})"

    def _arguments(self, arguments: Mapping[str, GraphQLArgument]) -> str:
        parts = []
        for name, argument in arguments.items():
            if not graphql.is_required_argument(argument) and self._random.random() < 0.6:
                continue
            value = self._value(name, argument.type)
            if value is Undefined:
                continue
            if self._random.random() < 0.4:
                variable = self._name("v")
                self._declared[variable] = str(argument.type)
                if self._random.random() < 0.9 or graphql.is_required_argument(argument):
                    self._given[variable] = value
                parts.append(f"{name}: ${variable}")
            else:
                parts.append(f"{name}: {self._literal(value, argument.type)}")
        return f"({', '.join(parts)})" if parts else ""

    def _value(self, name: str, type_: GraphQLInputType) -> Any:
        random = self._random
        if isinstance(type_, GraphQLNonNull):
            return self._value(name, type_.of_type)
        if (value := self._values(random, name, type_)) is not Undefined:
            return value
        if isinstance(type_, GraphQLList):
            return [self._value(name, type_.of_type) for _ in range(random.randint(0, 2))]
        if isinstance(type_, GraphQLEnumType):
            return random.choice(list(type_.values))
        if isinstance(type_, GraphQLInputObjectType):
            return {
                key: self._value(key, member.type)
                for key, member in type_.fields.items()
                if graphql.is_required_input_field(member) or random.random() < 0.3
            }
        return {"Int": random.randint(-3, 9), "Float": 1.5, "Boolean": random.random() < 0.5}.get(type_.name, "a")

    def _literal(self, value: Any, type_: GraphQLInputType) -> str:
        if isinstance(type_, GraphQLNonNull):
            type_ = type_.of_type
        if isinstance(value, list):
            assert isinstance(type_, GraphQLList)
            return f"[{', '.join(self._literal(one, type_.of_type) for one in value)}]"
        if isinstance(value, dict):
            assert isinstance(type_, GraphQLInputObjectType)
            parts = (f"{key}: {self._literal(one, type_.fields[key].type)}" for key, one in value.items())
            return f"{{{', '.join(parts)}}}"
        return str(value) if isinstance(type_, GraphQLEnumType) and value is not None else json.dumps(value)

    def _name(self, letter: str) -> str:
        self._names += 1
        return f"{letter}{self._names}"
