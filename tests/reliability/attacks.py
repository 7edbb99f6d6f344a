"""Requests of at most 64 KiB that are made to cost as much as they can."""

import json
from typing import Any

import graphql

from schema.limits import MAX_BYTES
from tests.reliability.attack_bodies import VARIABLES, Attack

SPACE = MAX_BYTES - 200
"""What is left of a body once its braces and a number are in it."""


def body(attack: Attack, number: int) -> bytes:
    """The request; another number makes it one that was never seen."""
    document, variables = attack
    request: dict[str, Any] = {"query": f"{document}#{number}", "variables": variables}
    if " Q0" in document:
        request["operationName"] = "Q0"
    return json.dumps(request, ensure_ascii=False).encode()


def fitting(piece: str, most: int = SPACE, around: int = 0) -> str:
    """As many repetitions as a body has room for."""
    return piece * ((most - around) // len(json.dumps(piece)[1:-1]))


def doubling(fragments: int, inner: str = "__typename") -> str:
    """Each fragment spreads the next twice: what finding F1 measured."""
    links = "".join(f"fragment F{n} on Query{{...F{n + 1} ...F{n + 1}}}" for n in range(fragments - 1))
    return f"{{...F0}}{links}fragment F{fragments - 1} on Query{{{inner}}}"


def chained(fragments: int, inner: str) -> str:
    """Each fragment holds some fields and the next fragment."""
    links = "".join(f"fragment F{n} on Query{{{inner} ...F{n + 1}}}" for n in range(fragments - 1))
    return f"{{...F0}}{links}fragment F{fragments - 1} on Query{{{inner}}}"


def crossed(fragments: int, inner: str, on: str, within: str) -> str:
    """Each fragment spreads all that follow it."""
    bodies = []
    for n in range(fragments):
        rest = " ".join(f"...F{m}" for m in range(n + 1, min(fragments, n + 3)))
        bodies.append(f"fragment F{n} on {on}{{{inner.format(n=n)} {rest}}}")
    return within.replace("...", "...F0") + "".join(bodies)


def introspection(type_depth: int = 9) -> str:
    """The standard query of graphql-js 16, in words of its own so that no answer of another is kept for it."""
    return graphql.get_introspection_query(descriptions=True, type_depth=type_depth)


def nested_services(levels: int) -> str:
    return "{service(id:1){" + "client{services(first:1){nodes{" * levels + "id" + "}}}" * levels + "}}"


def _introspection_shapes() -> dict[str, Attack]:
    type_ref = "kind name " + "ofType{kind name " * 14 + "}" * 14
    ref = "fragment R on __Type{" + type_ref + "}"
    short = "fragment R on __Type{kind name description " + "ofType{kind name description " * 7 + "}" * 7 + "}"
    told = "fields{name description args{name description defaultValue type{...R}}type{...R"
    twice = f"{{name description {told} {told}}}}}}}}}}}"

    def types(*names: str) -> str:
        return " ".join(f'a{n}:__type(name:"{name}"){twice}' for n, name in enumerate(names))

    return {
        "introspection: standard": (introspection(), None),
        "introspection: standard, 14 deep": (introspection(14), None),
        "introspection: fields of args of ofType": (
            "{__schema{types{fields{args{type{...R}}type{...R}}inputFields{type{...R}}}}}" + ref,
            None,
        ),
        "introspection: types twice": (
            "{__schema{types{...T}queryType{...T}mutationType{...T}}}fragment T on __Type{name description "
            "fields(includeDeprecated:true){name description args{name description defaultValue type{...R}}type{...R}}"
            "inputFields{name description type{...R}}enumValues{name description}interfaces{...R}possibleTypes{...R}}"
            + ref,
            None,
        ),
        "introspection: possibleTypes of types": (
            "{__schema{types{possibleTypes{name description kind ...R}interfaces{name description ...R}}}}" + ref,
            None,
        ),
        "introspection: 18 times __type": (
            "{"
            + " ".join(
                f'a{n}:__type(name:"{name}"){{...T}}' for n, name in enumerate(["Query", "Mutation", "Client"] * 6)
            )
            + "}fragment T on __Type{fields{name description args{name description defaultValue type{...R}}"
            "type{...R}}}" + ref,
            None,
        ),
        "introspection: 20 times __type, and what its fields are of": (f"{{{types(*['Query'] * 20)}}}" + short, None),
        "introspection: 3 times Query, and what its fields are of": (f"{{{types(*['Query'] * 3)}}}" + short, None),
        "introspection: 3 times Mutation, and what its fields are of": (
            f"{{{types(*['Mutation'] * 3)}}}" + short,
            None,
        ),
        "introspection: all types, Query and Mutation": (
            f"{{__schema{{types{{name description {told}}}}}}}}}{types('Query', 'Mutation')}}}" + short,
            None,
        ),
        "introspection: descriptions": (
            "{__schema{types{description fields{description args{description}}inputFields{description}"
            "enumValues{description}}directives{description args{description}}}}",
            None,
        ),
        "introspection: back to the fields' types": (
            "{__schema{types{fields{name type{name fields{name}}}}}}",
            None,
        ),
        "introspection: 300 fields of each": (
            "{__schema{types{fields{" + "name description isDeprecated " * 90 + "}}}}",
            None,
        ),
        "introspection: the whole and clients": (
            introspection().replace("query IntrospectionQuery {", "{ clients { nodes { id } }", 1),
            None,
        ),
    }


def _documents() -> dict[str, Attack]:
    fields = "id firstName lastName email company phone city status currency createdAt updatedAt"
    big = "{clients{nodes{id ...F0}}}"
    return {
        "F1: 24 fragments, each spreads the next twice": (doubling(24), None),
        "F1: 8 of them (256 fields)": (doubling(9), None),
        "F1: 180 of them": (doubling(180), None),
        "fragments: 50 in a chain, each 5 fields": (chained(50, "__typename " * 5), None),
        "fragments: 50 crossing": (crossed(50, "a{n}:__typename", "Query", "{...}"), None),
        "fragments: 50 that cross over the same fields": (
            crossed(12, fields, "Client", big.replace("...F0", "...")),
            None,
        ),
        "fragments: on nodes": (crossed(30, "client(id:1){{id}}", "Query", "{...}"), None),
        "fragments: a cycle of 50": (
            "{...F0}" + "".join(f"fragment F{n} on Query{{...F{(n + 1) % 50}}}" for n in range(50)),
            None,
        ),
        "fragments: all spread each other": (
            "{...F0}"
            + "".join(
                f"fragment F{n} on Query{{{' '.join(f'...F{m}' for m in range(20) if m != n)}}}" for n in range(20)
            ),
            None,
        ),
        "fragments: spread 600 times": ("{" + "...F " * 600 + "}fragment F on Query{__typename}", None),
        "fragments: 290 spreads of one": (
            "{client(id:1){" + "...F " * 290 + "}}fragment F on Client{id}",
            None,
        ),
        "aliases: 600": ("{" + " ".join(f"a{n}:__typename" for n in range(600)) + "}", None),
        "aliases: 30": ("{client(id:1){" + " ".join(f"a{n}:id" for n in range(30)) + "}}", None),
        "aliases: 29 of the items' amounts": (
            "{invoices(first:100){nodes{items{" + " ".join(f"a{n}:amount" for n in range(29)) + "}}}}",
            None,
        ),
        "aliases: 29 of the messages' texts": (
            "{tickets{nodes{messages{...M}}}}fragment M on TicketMessage{"
            + " ".join(f"a{n}:message" for n in range(29))
            + "}",
            None,
        ),
        "aliases: 8 of what a reply is answered with": (
            'mutation{ticketReply(id:1,message:"x"){messages{' + " ".join(f"a{n}:message" for n in range(8)) + "}}}",
            None,
        ),
        "__typename: 5,900": ("{" + "__typename " * 5_900 + "}", None),
        "__typename: 300": ("{" + "__typename " * 300 + "}", None),
        "__typename: 300 of a client": ("{client(id:1){" + "__typename " * 300 + "}}", None),
        "fields: 300 the same in each of 2 sets": (
            "{" + "client(id:1){" + "id " * 300 + "}" + "client(id:1){" + "id " * 300 + "}}",
            None,
        ),
        "fields: the same object 19 times, 90 fields each": (
            ("{" + ("client(id:1){" + "id " * 90 + "}") * 19 + "}"),
            None,
        ),
        "fields: the same object 19 times, 8 deep": (
            "{" + "client(id:1){services(first:1){nodes{client{services(first:1){nodes{id}}}}}}" * 19 + "}",
            None,
        ),
        "fields: the same object 280 times below another": (
            "{service(id:1){" + "client{id}" * 280 + "}}",
            None,
        ),
        "fields: pairs below pairs": (_pairs(8), None),
        "inline fragments: 180 deep": ("{" + "...{" * 180 + "__typename" + "}" * 180 + "}", None),
        "inline fragments: 290 side by side": ("{" + "...{__typename}" * 290 + "}", None),
        "inline fragments: on types": ('{node(id:"cli_1"){' + "...on Client{id}...on Service{id}" * 130 + "}}", None),
        "directives: 330": ("{__typename " + "@include(if:true)" * 330 + "}", None),
        "directives: 900 unknown": ("{__typename " + "@a" * 900 + "}", None),
        "directives: on 200 fields": ("{client(id:1){" + "id @include(if:true)" * 200 + "}}", None),
        "directives: on 280 variables": (
            "query(" + " ".join(f"$v{n}:Int @a" for n in range(280)) + "){__typename}",
            None,
        ),
        "depth: 11 levels": (nested_services(3), None),
        "depth: 300 levels": ("{client(id:1)" * 150 + "}" * 150, None),
        "lists: 900 deep as an argument": ("{client(id:" + "[" * 900 + "]" * 900 + "){id}}", None),
        "lists: 180 deep as an argument": ("{client(id:" + "[" * 180 + "1" + "]" * 180 + "){id}}", None),
        "objects: 180 deep as an argument": (
            "{clients(filter:" + "{a:" * 180 + "1" + "}" * 180 + "){totalCount}}",
            None,
        ),
        "objects: 480 unknown members": (
            "{clients(filter:{" + " ".join(f"a{n}:1" for n in range(480)) + "}){totalCount}}",
            None,
        ),
        "objects: 180 items": (
            'mutation{invoiceCreate(input:{clientId:1,dueDate:"2030-01-31",items:['
            + '{description:"a",amount:"1"}' * 180
            + "]}){id}}",
            None,
        ),
        "objects: 600 items without members": (
            'mutation{invoiceCreate(input:{clientId:1,dueDate:"2030-01-31",items:[' + "{}" * 600 + "]}){id}}",
            None,
        ),
        "objects: 200 wrong items": (
            'mutation{invoiceCreate(input:{clientId:1,dueDate:"2030-01-31",items:[' + "{a:1,b:2}" * 200 + "]}){id}}",
            None,
        ),
        "objects: the same member 600 times": (
            "{clients(filter:{" + "status:ACTIVE " * 600 + "}){totalCount}}",
            None,
        ),
        "enums: 1,900 unknown in a list": ("{clients(filter:{status:[" + "A " * 1_900 + "]}){totalCount}}", None),
        "numbers: one of 60,000 digits": ("{clients(first:" + fitting("9", around=40) + "){totalCount}}", None),
        "numbers: a float of 60,000 digits": ("{clients(first:1." + fitting("9", around=40) + "){totalCount}}", None),
        "arguments: 480 of one field": (
            "{client(" + " ".join(f"a{n}:1" for n in range(480)) + "){id}}",
            None,
        ),
        "arguments: 150 fields with long ones": (
            "{clients{nodes{" + " ".join('invoices(after:"' + "x" * 180 + '"){totalCount}' for _ in range(150)) + "}}}",
            None,
        ),
        "arguments: 29 aliases with long ones": (
            "{clients{nodes{"
            + " ".join(f'a{n}:invoices(after:"' + "x" * 2_000 + '"){totalCount}' for n in range(29))
            + "}}}",
            None,
        ),
        "unknown fields: 280": ("{" + " ".join(f"x{n}" for n in range(280)) + "}", None),
        "unknown fields: 280 below an object": ("{client(id:1){" + " ".join(f"x{n}" for n in range(280)) + "}}", None),
        "unknown fields: long names": ("{" + " ".join(f"{'x' * 200}{n}" for n in range(280)) + "}", None),
        "unknown types: 50 fragments": (
            "{...F0}" + "".join(f"fragment F{n} on X{n}{{a b c d e f g h}}" for n in range(50)),
            None,
        ),
        "unknown fragments: 600": ("{" + " ".join(f"...X{n}" for n in range(600)) + "}", None),
        "unknown variables: 390": ("{client(" + " ".join(f"a{n}:$v{n}" for n in range(390)) + "){id}}", None),
        "unused variables: 480": ("query(" + " ".join(f"$v{n}:Int" for n in range(480)) + "){__typename}", None),
        "variables: 220 declared, with lists of defaults": (
            "query(" + " ".join(f"$v{n}:[Int]=[1]" for n in range(220)) + "){__typename}",
            None,
        ),
        "variables: 180, one used 20 times": (
            "query("
            + " ".join(f"$v{n}:Boolean!" for n in range(180))
            + "){...F}fragment F on Query{__typename "
            + "@include(if:$v0)" * 20
            + "}",
            None,
        ),
        "variables: a type 900 deep": ("query($a:" + "[" * 900 + "Int" + "]" * 900 + "){__typename}", None),
        "variables: the same 480 times": ("query(" + "$a:Int " * 480 + "){__typename}", None),
        "operations: 5 of 264 fields": (
            " ".join(f"query Q{n}{{client(id:1){{{' '.join([fields] * 24)}}}}}" for n in range(5)),
            None,
        ),
        "operations: 5 that use one fragment": (
            " ".join(f"query Q{n}($a:ID!){{client(id:$a){{...F}}}}" for n in range(5))
            + "fragment F on Client{"
            + f"{fields} " * 12
            + "}",
            None,
        ),
        "operations: 5 over 50 fragments in a chain": (
            " ".join(f"query Q{n}($a:ID!){{client(id:$a){{...F0}}}}" for n in range(5))
            + "".join(f"fragment F{n} on Client{{id ...F{n + 1}}}" for n in range(49))
            + "fragment F49 on Client{id}",
            None,
        ),
        "operations: 5 with 8 variables over 50 fragments": (
            " ".join(f"query Q{n}({' '.join(f'$v{m}:ID!' for m in range(8))}){{...F0}}" for n in range(5))
            + "".join(f"fragment F{n} on Query{{client(id:$v{n % 8}){{id}}...F{n + 1}}}" for n in range(49))
            + "fragment F49 on Query{__typename}",
            None,
        ),
        "operations: 5 over 600 uses of a variable": (
            "".join(f"mutation Q{n}($i:InvoiceItemInput!){{...F}}" for n in range(5))
            + 'fragment F on Mutation{invoiceCreate(input:{clientId:1,dueDate:"2030-01-31",items:['
            + "$i " * 600
            + "]}){id}}",
            {"i": {"description": "a", "amount": "1"}},
        ),
        "operations: 5 over 50 fragments that cross": (
            "".join(f"query Q{n}($a:ID!){{client(id:$a){{...F0}}}}" for n in range(5))
            + "".join(f"fragment F{n} on Client{{...F{n + 1} ...F{n + 2} ...F{n + 3}}}" for n in range(0, 44, 4))
            + "".join(f"fragment F{n} on Client{{id}}" for n in range(48) if n % 4 or n >= 44),
            {"a": "1"},
        ),
        "operations: 400": ("query Q0{a}" + "query{a}" * 400, None),
        "definitions: 900 of types": ("{__typename}" + "scalar A " * 900, None),
        "comments: 2,000 lines": ("{__typename}" + "#\n" * 1_990, None),
        "comments: 21,000 lines": ("{__typename}" + "#\n" * 21_000, None),
        "comments: one of 64 KiB": ("{__typename}#" + fitting("a", around=40), None),
        "blanks: 64 KiB": ("{__typename}" + fitting(" ", around=40), None),
        "commas: 64 KiB": ("{__typename}" + fitting(",", around=40), None),
        "line ends: 64 KiB": ("{__typename}" + fitting("\n", around=40), None),
        "strings: one of 60,000 characters": ('{node(id:"' + fitting("a", around=40) + '"){id}}', None),
        "strings: 9,000 escapes": ('{node(id:"' + fitting("\\u00e9", around=40) + '"){id}}', None),
        "strings: 1,900 short ones": ("{client(id:[" + '"a"' * 1_900 + "]){id}}", None),
        "block strings: 20,000 lines": ('{node(id:"""' + fitting("\n a", around=40) + '"""){id}}', None),
        "block strings: 900 of them": ("{client(id:[" + '"""\n a\n b"""' * 900 + "]){id}}", None),
        "syntax: an error after 2,000 tokens": ("{" + "a " * 1_990, None),
        "syntax: 64 KiB of brackets": (fitting("{"), None),
        "overlap: the most that its budget bears": (_overlap(), None),
    }


def _pairs(levels: int) -> str:
    inner = "id"
    for _ in range(levels // 2):
        inner = f"id client{{services{{nodes{{{inner}}}}}}}client{{services{{nodes{{{inner}}}}}}}"
        if len(inner) > 8_000:
            break
    return "{service(id:1){" + inner + "}}"


def _overlap() -> str:
    same = "client{" + "id " * 20 + "}"
    return "{service(id:1){" + same * 40 + "}}"


QUERIES: dict[str, Attack] = _documents() | VARIABLES | _introspection_shapes()
