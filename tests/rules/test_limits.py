"""A document is measured, and refused when it asks for too much, before anything expands it."""

from collections.abc import Callable

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLField,
    GraphQLInt,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSyntaxError,
    get_introspection_query,
    validate,
)

from schema import limits
from schema.limits import LimitError, Measure
from tests.measuring import SCHEMA, measured, nested, operations, refusal

# Cost


@pytest.mark.parametrize(
    ("query", "cost"),
    [
        ("{ client { id } }", 2),
        ("{ client { id id __typename } }", 4),
        ("{ client { tags } }", 2),
        ("{ clients(first: 50) { totalCount } }", 1 + 50),
        ("{ clients(first: 50) { nodes { id } } }", 1 + 50 * 2),
        ("{ clients { nodes { id } } }", 1 + 25 * 2),
        ("{ clients(last: 4) { nodes { id } } }", 1 + 4 * 2),
        ("{ clients(first: null, last: 4) { nodes { id } } }", 1 + 4 * 2),
        ("{ clients(first: 3, last: 4) { nodes { id } } }", 1 + 4 * 2),
        ("{ clients(first: null) { nodes { id } } }", 1 + 25 * 2),
        ("{ invoices { nodes { id } } }", 1 + 25 * 2),
        ("{ newest { nodes { id } } }", 1 + 3 * 2),
        ("{ clients(first: 0) { nodes { id } } }", 1 + 1 * 2),
        ("{ clients(first: -5) { nodes { id } } }", 1 + 1 * 2),
        ("{ clients(first: 7) { nodes { id invoices(first: 3) { nodes { id total } } } } }", 1 + 7 * (3 + 3 * 3)),
        ("{ clients(first: 7) { nodes { invoices { totalCount } } } }", 1 + 7 * (2 + 10 * 1)),
        ("{ invoices(first: 7) { nodes { items { amount } } } }", 1 + 7 * 3),
        ("{ clients(first: 7) { nodes { ...C } } } fragment C on Client { id invoices { totalCount } }", 1 + 7 * 13),
        ("{ node { ... on Client { invoices(first: 6) { totalCount } } } }", 2 + 6),
        ("{ client { ... { invoices(first: 6) { totalCount } } } }", 2 + 6),
        ("{ a: client { id } b: client { id } }", 4),
        ("{ clients(first: 9) @skip(if: true) { totalCount } }", 1 + 9),
        ("mutation { clientDelete(id: 1) { id } }", 2),
        ("{ client }", 1),
        ("{ clients(first: 9) }", 1),
    ],
)
def test_each_field_costs_one_times_the_pages_above_it(query: str, cost: int) -> None:
    assert measured(query).cost == cost


@pytest.mark.parametrize(
    ("declared", "variables", "page"),
    [
        ("$n: Int", {"n": 8}, 8),
        ("$n: Int = 6", {"n": 8}, 8),
        ("$n: Int = 6", {}, 6),
        ("$n: Int = 6", None, 6),
        ("$n: Int = 6", {"n": None}, 25),
        ("$n: Int", {"n": None}, 25),
        ("$n: Int", {}, 25),
        ("$n: Int", {"n": -3}, 1),
        ("$n: Int", {"n": "8"}, 100),
        ("$n: Int", {"n": True}, 100),
        ("$n: Int", {"n": 8.0}, 100),
        ("$n: Int", {"n": [8]}, 100),
        ("$m: Int", {}, 100),
    ],
)
def test_a_page_size_may_be_a_variable(declared: str, variables: dict[str, object] | None, page: int) -> None:
    query = f"query ({declared}) {{ clients(first: $n) {{ ...C }} }} fragment C on Clients {{ totalCount }}"
    assert measured(query, variables).cost == 1 + page


@pytest.mark.parametrize("size", ["101", "9" * 20, "9" * 5000, '"5"', "5.0", "true", "[5]", "{n: 5}", "MANY"])
def test_a_page_size_that_the_resolver_will_refuse_counts_as_a_full_page(size: str) -> None:
    assert measured(f"{{ clients(first: {size}) {{ totalCount }} }}").cost == 101


def test_a_page_size_beyond_the_largest_page_is_left_to_the_resolver_and_its_sentence() -> None:
    assert measured("query ($n: Int) { clients(first: $n) { totalCount } }", {"n": 10**400}).cost == 101


def test_a_default_that_is_a_python_value_counts_as_one_that_is_a_literal() -> None:
    below = GraphQLObjectType("Things", {"totalCount": GraphQLField(GraphQLInt)})
    things = GraphQLField(below, args={"first": GraphQLArgument(GraphQLInt, default_value=7)})
    schema = GraphQLSchema(GraphQLObjectType("Query", {"things": things}))
    assert measured("{ things { totalCount } }", schema=schema).cost == 8


def test_the_dearest_request_costs_exactly_the_limit() -> None:
    fields = "id " * 48
    assert measured(f"{{ clients(first: 100) {{ nodes {{ {fields} }} }} client {{ id }} }}").cost == 4903
    assert refusal(f"{{ clients(first: 100) {{ nodes {{ {fields} id }} }} }}") == (
        "The document costs 5,001 points (each field one, times the pages above it); at most 5,000 are allowed."
    )


# Shape


def test_a_measure_counts_what_the_expanded_operation_selects() -> None:
    query = """
        query ($id: ID @a) @b {
          one: client(id: $id) @c { ...C }
          two: client(id: 2) { ...C @d }
          __typename
        }
        fragment C on Client @e { id label: name ... @include(if: true) { tags } }
    """
    assert measured(query) == Measure(
        depth=2, cost=9, aliases=4, root_fields=3, directives=8, fields=9, introspection_lists=0
    )


@pytest.mark.parametrize(
    ("fits", "exceeds", "sentence"),
    [
        (nested(12), nested(13), "The document is 13 levels deep; at most 12 are allowed."),
        (
            "{" + "client " * 20 + "}",
            "{" + "client " * 21 + "}",
            "The query has 21 root fields; at most 20 are allowed.",
        ),
        (
            "mutation {" + "clientCreate " * 5 + "}",
            "mutation {" + "clientCreate " * 6 + "}",
            "The mutation has 6 root fields; at most 5 are allowed.",
        ),
        (
            "{ client {" + "a: id " * 30 + "} }",
            "{ client {" + "a: id " * 31 + "} }",
            "The document has 31 aliases; at most 30 are allowed.",
        ),
        (
            "{ client {" + "id @a " * 20 + "} }",
            "{ client {" + "id @a " * 21 + "} }",
            "The document has 21 directives; at most 20 are allowed.",
        ),
        (
            "{ client {" + "id " * 300 + "} }",
            "{ client {" + "id " * 301 + "} }",
            "A selection set has 301 fields; at most 300 are allowed.",
        ),
        (
            "{ id }" + "fragment F on Query { id }" * 50,
            "{ id }" + "fragment F on Query { id }" * 51,
            "The document has 51 fragments; at most 50 are allowed.",
        ),
        ("{ id }" * 5, "{ id }" * 6, "The document has 6 operations; at most 5 are allowed."),
    ],
)
def test_a_document_at_a_limit_passes_and_one_beyond_it_is_refused_by_a_sentence(
    fits: str, exceeds: str, sentence: str
) -> None:
    measured(fits)
    assert refusal(exceeds) == sentence


def test_fragments_count_as_often_as_they_are_spread() -> None:
    fragment = "fragment C on Client { a: id b: id c: id }"
    assert measured("{ client {" + "...C " * 10 + "} }" + fragment).aliases == 30
    assert refusal("{ client {" + "...C " * 11 + "} }" + fragment).startswith("The document has 33 aliases;")


def test_only_the_operation_that_runs_has_to_fit_the_limits_on_what_is_run() -> None:
    document = limits.parse(f"query Small {{ client {{ id }} }} query Large {nested(13)}")
    small, large = operations(document)
    assert limits.measure(SCHEMA, document, small, None).depth == 2
    with pytest.raises(LimitError):
        limits.measure(SCHEMA, document, large, None)


@pytest.mark.parametrize(
    "bystander",
    ["query B { client {" + "id " * 301 + "} }", "fragment B on Client {" + "id " * 301 + "}"],
)
def test_what_is_not_run_is_still_bounded_because_validation_reads_it(bystander: str) -> None:
    assert refusal("query A { client { id } } " + bystander).startswith("A selection set has 301 fields;")


@pytest.mark.parametrize("within", [lambda many: many, lambda many: {"a": [{"b": many}]}])
def test_a_list_in_the_variables_has_at_most_1000_entries(within: Callable[[list[int]], object]) -> None:
    assert measured("{ id }", {"v": within([1] * 1_000)})
    assert refusal("{ id }", {"v": within([1] * 1_001)}) == (
        "A list in the variables has 1,001 entries; at most 1,000 are allowed."
    )


# Size


def test_a_text_is_at_most_64_kibibytes_long() -> None:
    limits.parse("{ id }".ljust(limits.MAX_BYTES))
    with pytest.raises(LimitError, match=r"^The document is 65,537 bytes long; at most 65,536 are allowed\.$"):
        limits.parse("{ id }".ljust(limits.MAX_BYTES + 1))
    with pytest.raises(LimitError, match="65,540 bytes"):
        limits.parse('{ a(b: "' + "é" * 32_763 + '") }  ')


@pytest.mark.parametrize("flood", ["{" + "__typename " * 1_999 + "}", "{ id }" + "#\n" * 2_001])
def test_a_text_has_at_most_2000_tokens_and_as_many_comments(flood: str) -> None:
    with pytest.raises(GraphQLSyntaxError, match="more than 2000"):
        limits.parse(flood)


@pytest.mark.parametrize(
    "text", ["", "{", "{ a(", "query", "\0", "\ud800", '{ a(b: "', "{ a" * 600, "{ a(b: " + "[" * 900, "{...}" * 9]
)
def test_a_syntax_error_keeps_its_position(text: str) -> None:
    with pytest.raises(GraphQLSyntaxError) as caught:
        limits.parse(text)
    assert caught.value.locations


# Introspection


@pytest.mark.parametrize(
    "query",
    [
        get_introspection_query(type_depth=7),
        get_introspection_query(specified_by_url=True, directive_is_repeatable=True, schema_description=True),
        get_introspection_query(True, True, True, True, input_value_deprecation=True),
        get_introspection_query(True, True, True, True, True, one_of=True),
        get_introspection_query(True, True, True, True, True, True, True),
        get_introspection_query(True, True, True, True, True, True, True, type_depth=14),
    ],
)
def test_the_standard_introspection_query_passes_and_costs_one(query: str) -> None:
    assert not validate(SCHEMA, limits.parse(get_introspection_query()))
    total = measured(query)
    assert total == Measure(depth=1, cost=1, root_fields=1, fields=total.fields, introspections=1)


def test_introspection_is_one_in_a_query_that_asks_for_more() -> None:
    fragment = "fragment Q on Query { __schema { types { kind } } }"
    total = measured('{ ...Q client { id } a: __type(name: "A") { name } }' + fragment)
    assert (total.cost, total.depth, total.fields) == (4, 2, 7)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (
            get_introspection_query(type_depth=15),
            "The introspection is 21 levels deep; at most 20 are allowed.",
        ),
        (
            "{ __schema { types { fields { type { fields { name } } } } } }",
            "The introspection nests 3 lists; at most 2 are allowed.",
        ),
        (
            "{ __schema { ...S } } fragment S on __Schema { types { ...T } } "
            "fragment T on __Type { fields { args { type { enumValues { name } } } } }",
            "The introspection nests 3 lists; at most 2 are allowed.",
        ),
        (
            "{ a: __schema { types { name } } b: __schema { types { name } } }",
            "Introspection takes no aliases, but for `__type` itself.",
        ),
        (
            '{ __type(name: "A") { a: fields { name } b: fields { name } } }',
            "Introspection takes no aliases, but for `__type` itself.",
        ),
    ],
)
def test_introspection_cannot_ask_for_more_than_the_schema_holds(query: str, sentence: str) -> None:
    assert refusal(query) == sentence


def test_so_many_times_a_document_introspects() -> None:
    types = [f'a{n}: __type(name: "A") {{ name }}' for n in range(4)]
    assert measured("{" + " ".join(types[:3]) + "}").introspections == 3
    sentence = "The document introspects 4 times; at most 3 are allowed."
    assert refusal("{" + " ".join(types) + "}") == sentence
    assert refusal("{ ...Q ...Q } fragment Q on Query {" + " ".join(types[:2]) + "}") == sentence
    assert refusal("{ __schema { description }" + " ".join(types[:3]) + "}") == sentence


@pytest.mark.parametrize(
    "query",
    [
        "{ invoices { nodes { items { a: amount } } } }",
        "{ invoices { nodes { items { ...I } } } } fragment I on Item { ... { a: amount } }",
        "{ client { ...C } } fragment C on Client { invoices { nodes { all: items { a: __typename } } } }",
        "{ node { ... on Invoice { items { amount @skip(if: true) a: amount @skip(if: true) } } } }",
    ],
)
def test_no_field_below_a_list_without_pages_is_told_twice(query: str) -> None:
    assert refusal(query) == "Fields below `items` take no aliases: it has no pages, so each is told once."


def test_aliases_stand_where_pages_bound_them_and_on_the_list_itself() -> None:
    query = "{ invoices { n: nodes { i: id c: client { j: id } a: items { amount } b: items { amount } } } }"
    assert measured(query).aliases == 6


def test_only_the_query_type_has_introspection_fields() -> None:
    assert refusal("{ client { __schema " + nested(11) + " } }").startswith("The document is 13 levels deep;")
    assert refusal("mutation { __schema " + nested(12) + " }").startswith("The document is 13 levels deep;")
