"""Writing: the selections of an operation become Python functions, one for each place where an object is told.

The source holds names and numbers of its own, and names that the schema gives. What a caller wrote, such as an alias
or a value, is never part of it: it stands in the namespace that the functions run in.
"""

from collections.abc import Callable
from keyword import iskeyword
from typing import Any, Final

import graphql
from graphql import (
    GraphQLAbstractType,
    GraphQLEnumType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLUnionType,
    Undefined,
)
from graphql.execution.collect_fields import FieldDetailsList
from graphql.pyutils import Path, is_awaitable

from executor import leaves, running
from executor.inputs import Arguments, Site
from executor.looking import Subfields, columns_read
from executor.pieces import Body, Gathering, Selected, Teller, Unsupported, now_or_later, nullable
from executor.promises import PROMISE, Calls, Columns, Gathers, Reads, TellsType

MOST_FIELDS: Final = 600
"""No operation becomes more than so many fields: compiling takes time, and functions take memory."""


class Writer:
    """Writes the functions of one program into one namespace."""

    def __init__(self, schema: graphql.GraphQLSchema, subfields: Subfields, *, is_plain: bool = False) -> None:
        self._schema = schema
        self._subfields = subfields
        self._is_plain = is_plain
        self._lines: list[str] = []
        self.fields = 0
        self.sites: list[Site] = []
        self.gatherings: list[Gathering] = []
        self.source = ""
        self.namespace: dict[str, Any] = {
            "Path": Path,
            "Undefined": Undefined,
            "Waiting": running.Waiting,
            "as_list": running.as_list,
            "field_place": running.field_place,
            "is_awaitable": is_awaitable,
            "null": leaves.null,
            "settled": running.settled,
            "settled_item": running.settled_item,
        }

    def execute(self) -> None:
        """Makes functions of what was written since the last time."""
        source = "\n".join([*self._lines, ""])
        exec(compile(source, "<operation>", "exec"), self.namespace)
        self.source += source
        self._lines = []

    def root(self, type_: GraphQLObjectType, key: str, details: FieldDetailsList) -> str:
        """Writes the function that begins a root field; gives its name."""
        selected = self._selected(type_, key, details)
        promise = selected.field.extensions.get(PROMISE)
        key = selected.key
        body = [f"    place = Path(None, {key}, {type_.name!r})"]
        if selected.field is graphql.TypeNameMetaFieldDef:
            body = [f"    data[{key}] = {type_.name!r}"]
        elif isinstance(promise, Calls):
            call, arguments = self._call(promise, selected)
            complete = self._completer(selected)
            body = body if complete.tracks else []
            place = "place" if complete.tracks else None
            body.append(f"    value = run.obtain({key}, {call}, run.root, run.context, {arguments})")
            if promise.waits:
                body.append(f"    below[0].append(Waiting(value, {complete.name}, data, {key}, {place}))")
            else:
                body.append(f"    data[{key}] = {complete.name}(value, run, below, {place})")
        else:
            call, site, arguments = self._resolver(selected)
            body.append(f"    value = run.obtain({key}, {call}, run.root, run.info({site}, place){arguments})")
            body += now_or_later(key, self._completer(selected, settle="settled_item"), "place")
        name = self._unique("root", selected.name)
        self._lines += [f"def {name}(run, data, below):", *body]
        return name

    def object_teller(self, type_: GraphQLObjectType, details: FieldDetailsList) -> Teller:
        """Writes the function that tells an object of a type."""
        if type_.is_type_of is not None:
            raise Unsupported("objects that are asked for their type")
        body = Body()
        for key, below in self._subfields(type_, details).items():
            self._member(body, self._selected(type_, key, below))
        name = self._unique("tell", type_.name)
        parameters = "row" if body.is_simple else "row, run, below, place"
        self._lines += [f"def {name}({parameters}):", "    if row is None: null()", *body.lines()]
        return Teller(name, body.is_simple, body.tracks)

    def possible(self, type_: GraphQLAbstractType, name: object, details: FieldDetailsList) -> Callable[..., Any]:
        """The function that tells an object of an interface or union, once one of that name was met."""
        found = self._schema.get_type(name) if isinstance(name, str) else None
        if not isinstance(found, GraphQLObjectType) or not self._schema.is_sub_type(type_, found):
            raise leaves.Unexpected("another type")
        self._lines = []
        teller = self.object_teller(found, details)
        self.execute()
        function: Callable[..., Any] = self.namespace[teller.name]
        return (lambda row, run, below, place: function(row)) if teller.is_simple else function

    def _member(self, body: Body, selected: Selected) -> None:
        """Writes one field of an object."""
        key, parent = selected.key, selected.parent.name
        promise = selected.field.extensions.get(PROMISE)
        place = f"Path(place, {key}, {parent!r})"
        if selected.field is graphql.TypeNameMetaFieldDef:
            body.entry(key, repr(parent))
        elif isinstance(promise, Reads):
            is_exact = promise.is_typed and graphql.is_leaf_type(nullable(selected.field.type)[0])
            if is_exact:
                body.entry(key, self._exact(promise, selected))
            else:
                body.entry(key, self._told(body, selected, self._read(promise, selected), place))
        elif isinstance(promise, Gathers):
            body.is_simple = False
            complete = self._completer(selected)
            body.needs(complete)
            number = self._gathering(promise, selected, complete)
            at = place if complete.tracks else None
            body.entry(key, "None")
            leading = "row" if promise.attribute is None else self._attribute(promise.attribute)
            body.statements.append(f"    below[{number}].append(({leading}, data, {at}))")
        elif isinstance(promise, Calls):
            body.is_simple = False
            call, arguments = self._call(promise, selected)
            called = f"{call}(row, run.context, {arguments})"
            if not promise.waits:
                body.entry(key, self._told(body, selected, called, place))
                return
            complete = self._completer(selected)
            body.needs(complete)
            at = place if complete.tracks else None
            body.entry(key, "None")
            body.statements.append(f"    below[0].append(Waiting({called}, {complete.name}, data, {key}, {at}))")
        else:
            body.is_simple, body.tracks = False, True
            call, site, arguments = self._resolver(selected)
            body.entry(key, "None")
            body.statements.append(f"    here = {place}")
            body.statements.append(f"    value = {call}(row, run.info({site}, here){arguments})")
            body.statements += now_or_later(key, self._completer(selected, settle="settled_item"), "here")

    # How a field is resolved

    def _selected(self, type_: GraphQLObjectType, key: str, details: FieldDetailsList) -> Selected:
        self.fields += 1
        if self.fields > MOST_FIELDS:
            raise Unsupported("too many fields")
        if any(one.defer_usage is not None or one.fragment_variable_values is not None for one in details):
            raise Unsupported("@defer, or a fragment with variables")
        name = details[0].node.name.value
        field = self._schema.get_field(type_, name)
        if field is None:
            raise Unsupported("a field that is not there")
        return Selected(type_, field, repr(key) if key == name else self._bind("key", key), details)

    def _read(self, promise: Reads, selected: Selected, absent: str = "None") -> str:
        """The expression that reads a field; `absent` is told where an attribute is None of which it is made."""
        name, function = promise.attribute, promise.function
        if selected.field.args:
            raise Unsupported("arguments that are not read")
        if name is None:
            assert function is not None, "a promise says how its field is read"
            return f"{self._bind('read', function)}(row)"
        value = self._attribute(name)
        if not self._is_made(promise):
            return value
        values = ", ".join(["u", *map(self._attribute, promise.beside)])
        return f"({absent} if (u := {value}) is None else {self._bind('read', function)}({values}))"

    def _exact(self, promise: Reads, selected: Selected) -> str:
        """The expression of a leaf that is told as it is read."""
        is_required = nullable(selected.field.type)[1]
        if is_required and not self._is_made(promise):
            return f"v if (v := {self._read(promise, selected)}) is not None else null()"
        return self._read(promise, selected, "null()" if is_required else "None")

    def _is_made(self, promise: Reads) -> bool:
        return promise.function is not None and not (self._is_plain and promise.is_plain)

    def _attribute(self, name: str) -> str:
        if not name.isidentifier() or iskeyword(name):
            raise Unsupported("an attribute without a plain name")
        return f"row.{name}"

    def _call(self, promise: Calls, selected: Selected) -> tuple[str, str]:
        """The function that gives a field's value, and what it is called with."""
        call = self._bind("call", promise.function)
        more = "" if promise.of is None else f", {self._bind('columns', self._columns(promise.of, selected))}"
        if not selected.field.args:
            return call, self._bind("prepared", promise.prepare({})) + more
        return call, self._arguments(selected, promise.prepare) + more

    def _gathering(self, promise: Gathers, selected: Selected, complete: Teller) -> int:
        """Enters a field that leads on from many objects; gives its number."""
        if selected.field.args:
            self.sites.append(Site(Arguments(selected.field, selected.details[0].node), promise.prepare))
            arguments = _of_run(len(self.sites) - 1)
        else:
            arguments = _always(promise.prepare({}))
        columns = None if promise.of is None else self._columns(promise.of, selected)
        key = selected.details[0].node.alias or selected.details[0].node.name
        self.gatherings.append(Gathering(promise.function, arguments, columns, complete.name, key.value))
        return len(self.gatherings)

    def _columns(self, of: str, selected: Selected) -> Columns:
        return columns_read(self._schema, self._subfields, of, selected)

    def _resolver(self, selected: Selected) -> tuple[str, str, str]:
        """The resolver of a field that promises nothing, what it is told of the field, and its arguments."""
        call = self._bind("resolve", selected.field.resolve or graphql.default_field_resolver)
        arguments = f", **{self._arguments(selected, None)}" if selected.field.args else ""
        return call, self._bind("site", selected), arguments

    def _arguments(self, selected: Selected, prepare: Callable[[dict[str, Any]], Any] | None) -> str:
        self.sites.append(Site(Arguments(selected.field, selected.details[0].node), prepare))
        return f"run.arguments[{len(self.sites) - 1}]"

    # How a value is told

    def _told(self, body: Body, selected: Selected, value: str, place: str) -> str:
        """The expression that tells a value which is there at once."""
        type_, is_required = nullable(selected.field.type)
        if isinstance(type_, GraphQLScalarType | GraphQLEnumType):
            return self._leaf(type_, is_required, value)
        teller = self._teller(selected)
        body.needs(teller)
        return self._expression(selected.field.type, value, teller, place)

    def _completer(self, selected: Selected, settle: str = "") -> Teller:
        """Writes the function that tells a field's value once it is there."""
        teller = self._teller(selected)
        told = self._expression(selected.field.type, "value", teller, "place", settle)
        name = self._unique("complete", selected.name)
        self._lines.append(f"def {name}(value, run, below, place):")
        if settle:
            self._lines.append("    value = settled(value)")
        self._lines.append(f"    return {told}")
        return Teller(name, False, teller.tracks)

    def _teller(self, selected: Selected) -> Teller:
        """The function for the objects that a field leads to, in whatever lists."""
        type_ = graphql.get_named_type(selected.field.type)
        if isinstance(type_, GraphQLScalarType | GraphQLEnumType):
            return Teller("", is_simple=True)
        if isinstance(type_, GraphQLObjectType):
            return self.object_teller(type_, selected.details)
        assert isinstance(type_, GraphQLInterfaceType | GraphQLUnionType)
        promise = type_.extensions.get(PROMISE)
        if isinstance(promise, TellsType):
            found = f"{self._bind('name_of', promise.function)}(row)"
        else:
            resolve = self._bind("name_of", type_.resolve_type or graphql.default_type_resolver)
            site, shown = self._bind("site", selected), self._bind("type", type_)
            found = f"{resolve}(row, run.info({site}, field_place(place)), {shown})"
        tellers = self._bind("tellers", ByName(self, type_, selected.details))
        name = self._unique("tell", type_.name)
        self._lines.append(f"def {name}(row, run, below, place):")
        self._lines.append("    if row is None: null()")
        self._lines.append(f"    return {tellers}[{found}](row, run, below, place)")
        return Teller(name, is_simple=False, tracks=True)

    def _expression(
        self, type_: GraphQLOutputType, value: str, teller: Teller, place: str, settle: str = "", item: str = "item"
    ) -> str:
        """Tells a value of a type: through its lists, and null where it may be."""
        type_, is_required = nullable(type_)
        if isinstance(type_, GraphQLScalarType | GraphQLEnumType):
            return f"{self._leaf_teller(type_, is_required)}({value})"
        if is_required:
            return self._expression_of_some(type_, value, teller, place, settle, item)
        name, test = (value, value) if value.isidentifier() else ("v", f"(v := {value})")
        return f"(None if {test} is None else {self._expression_of_some(type_, name, teller, place, settle, item)})"

    def _expression_of_some(
        self, type_: GraphQLOutputType, value: str, teller: Teller, place: str, settle: str, item: str
    ) -> str:
        if not isinstance(type_, GraphQLList):
            return teller.told(value, place)
        items = f"map({settle}, as_list({value}))" if settle else f"as_list({value})"
        at = f"{item}_at"
        each = self._expression(type_.of_type, item, teller, f"{place}.add_key({at}, None)", settle, f"{item}_")
        function = each.removesuffix(f"({item})")
        if function.isidentifier():
            return f"list(map({function}, {items}))"
        if teller.tracks:
            return f"[{each} for {at}, {item} in enumerate({items})]"
        return f"[{each} for {item} in {items}]"

    def _leaf(self, type_: GraphQLScalarType | GraphQLEnumType, is_required: bool, value: str) -> str:
        """Tells a leaf, without a call where its value is told as it is."""
        if isinstance(type_, GraphQLEnumType) and self._is_plain:
            tell = self._leaf_teller(type_, is_required=True)
            return f"{tell}({value})" if is_required else f"None if (v := {value}) is None else {tell}(v)"
        otherwise = self._leaf_teller(type_, is_required)
        if isinstance(type_, GraphQLEnumType):
            return f"{self._names(type_)}.get(v := {value}) or {otherwise}(v)"
        exact = leaves.EXACT.get(type_)
        if exact is None:
            coerce = self._coercion(type_)
            some = f"w if (w := {coerce}(v)) is not None and w is not Undefined else null()"
            return f"{'null()' if is_required else None} if (v := {value}) is None else {some}"
        if is_required:
            return f"v if {exact.replace('v', f'v := {value}', 1)} else {otherwise}(v)"
        return f"v if (v := {value}) is None or {exact} else {otherwise}(v)"

    def _leaf_teller(self, type_: GraphQLScalarType | GraphQLEnumType, is_required: bool) -> str:
        name = f"as_{type_.name}" if is_required else f"as_{type_.name}_or_null"
        if name not in self.namespace:
            if self._is_plain and isinstance(type_, GraphQLEnumType):
                tell = leaves.plain(type_)
            else:
                tell = leaves.required(type_)
            self.namespace[name] = tell if is_required else leaves.optional(tell)
        return name

    def _coercion(self, type_: GraphQLScalarType) -> str:
        name = f"coerce_{type_.name}"
        self.namespace[name] = type_.coerce_output_value
        return name

    def _names(self, type_: GraphQLEnumType) -> str:
        name = f"names_of_{type_.name}"
        if name not in self.namespace:
            self.namespace[name] = leaves.names(type_)
        return name

    # Names

    def _bind(self, kind: str, value: Any) -> str:
        """A name that the functions have for a value."""
        name = self._unique(kind)
        self.namespace[name] = value
        return name

    def _unique(self, kind: str, of: str = "") -> str:
        """A name that was not used before; `of` is a name of the schema."""
        number = self._numbers = self._numbers + 1
        return f"{kind}_{of}_{number}" if of else f"{kind}_{number}"

    _numbers = 0


def _always(prepared: Any) -> Callable[[running.Run], Any]:
    return lambda _: prepared


def _of_run(number: int) -> Callable[[running.Run], Any]:
    return lambda run: run.arguments[number]


class ByName(dict[object, Callable[..., Any]]):
    """The functions for the objects that a field of an interface or a union leads to, each written once it is met."""

    def __init__(self, writer: Writer, type_: GraphQLAbstractType, details: FieldDetailsList) -> None:
        self._writer = writer
        self._type = type_
        self._details = details

    def __missing__(self, name: object) -> Callable[..., Any]:
        function = self[name] = self._writer.possible(self._type, name, self._details)
        return function
