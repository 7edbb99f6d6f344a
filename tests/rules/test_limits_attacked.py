"""No document makes measuring it dear, and whatever parses is measured or refused."""

import sys
from types import FrameType

import pytest
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSyntaxError,
    InlineFragmentNode,
    NameNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    Visitor,
    get_introspection_query,
    validate,
    visit,
)
from hypothesis import given
from hypothesis import strategies as st

from schema import limits
from schema.limits import LimitError, Measure
from tests.measuring import SCHEMA, doubling, measured, operations, refusal

# Attacks


def steps(text: str) -> int:
    """How many functions of the module are entered to measure the document."""
    document = limits.parse(text)
    entered = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal entered
        entered += event == "call" and frame.f_code.co_filename == limits.__file__

    previous = sys.getprofile()
    sys.setprofile(count)
    try:
        limits.measure(SCHEMA, document, operations(document)[0], None)
    except LimitError:
        pass
    finally:
        sys.setprofile(previous)
    return entered


def size(text: str) -> int:
    nodes = 0

    class Count(Visitor):
        def enter(self, *_: object) -> None:
            nonlocal nodes
            nodes += 1

    visit(limits.parse(text), Count())
    return nodes


def test_a_fragment_bomb_is_refused() -> None:
    assert refusal(doubling(24)) == "A selection set has 512 fields; at most 300 are allowed."
    assert refusal(doubling(180)) == "The document has 180 fragments; at most 50 are allowed."
    assert steps(doubling(180)) < 10


@pytest.mark.parametrize(
    "text",
    [
        *(doubling(fragments) for fragments in (6, 12, 24, 48, 96, 180)),
        *("{ client {" + "id " * fields + "} }" for fields in (10, 100, 1_000, 1_990)),
        "{" + " ".join(f"a{n}: client {{ id }}" for n in range(300)) + "}",
        "{ client {" + "id @a @b @c " * 280 + "} }",
        "{ clients(first: 5) { nodes {" + "invoices(first: 5) { totalCount } " * 150 + "} } }",
        "{" + "... { ...F " * 150 + "id" + "}" * 150 + "} fragment F on Query {" + "client { id } " * 150 + "}",
        get_introspection_query(),
    ],
)
def test_the_work_is_linear_in_the_size_of_the_document(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("MAX_FRAGMENTS", "MAX_FIELDS_PER_SELECTION"):
        monkeypatch.setattr(limits, limit, 2 * limits._SATURATED)
    assert steps(text) <= 7 * size(text)


def test_counts_saturate(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("MAX_FRAGMENTS", "MAX_FIELDS_PER_SELECTION"):
        monkeypatch.setattr(limits, limit, 2 * limits._SATURATED)
    assert refusal(doubling(180)) == "The query has 1,000,000,000 root fields; at most 20 are allowed."
    dear = (
        "clients(first: 100) { nodes { invoices(first: 100) { nodes { client { invoices(first: 100) { nodes { client "
    )
    dear += "{ invoices(first: 100) { nodes { id } } }" + " }" * 7
    assert refusal("{" + dear * 20 + "}").startswith("The document costs 1,000,000,000 points ")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("{ ...A } fragment A on Query { ...A }", "A"),
        ("{ id } fragment B on Query { client { ...B } }", "B"),
        ("{ ...A } fragment A on Query { ... { ...B } } fragment B on Query { ...C ...A } fragment C on C { id }", "A"),
    ],
)
def test_a_cycle_of_fragments_is_refused_even_when_it_is_not_used(query: str, name: str) -> None:
    assert refusal(query) == f"The fragment {name} spreads itself, directly or through others."


def test_deep_inline_fragments_in_long_chains_of_fragments_are_no_deep_recursion() -> None:
    links = (f"fragment F{n} on Query {{ {'... { ' * 12} ...F{n + 1} {'}' * 12} }}" for n in range(40))
    query = "{ ...F0 }" + " ".join(links) + "fragment F40 on Query { client { id } }"
    assert measured(query).depth == 2
    assert measured("{" + "... {" * 190 + "id" + "}" * 190 + "}").depth == 1


# Whatever parses


@pytest.mark.parametrize(
    "query",
    [
        "{ nothing { at(all: 1, first: 3) { nodes } } }",
        "{ client { id { id { id } } } }",
        "{ ...Nowhere }",
        "{ ... on Nothing { id } ...F } fragment F on Nothing { id }",
        "{ ... on Owner { id __typename } ... on ID { id } ... on Item { clients(first: 3) { id } } }",
        "{ ...F } fragment F on Query { id } fragment F on Query { ...F }",
        "subscription { client { id } }",
        "{ clients(first: [[{a: $b}]], first: 3, last: $c) { nodes } }",
        "query ($a: [[Nothing!]!] = [{a: 1}], $a: Int = 3) { clients(first: $a) { nodes } }",
        "{ client { } }",
        "{ __schema __type __typename { __schema { __type } } }",
        "{ client { __schema { types } } }",
        "{ id } type Query { id: ID } schema { query: Query } extend type A @b directive @c on FIELD",
        "query A { id } query A { id } { id }",
    ],
)
def test_what_is_invalid_but_parses_is_left_to_validation(query: str) -> None:
    try:
        assert measured(query, {"unknown": object()})
    except LimitError as error:
        assert "spreads itself" in str(error)
    assert validate(SCHEMA, limits.parse(query)) or query == "{ client { } }"


def test_a_document_made_by_hand_may_leave_out_its_optional_parts() -> None:
    name = NameNode(value="clients")
    selections = SelectionSetNode(
        selections=(
            FieldNode(name=name),
            FragmentSpreadNode(name=name),
            InlineFragmentNode(selection_set=SelectionSetNode(selections=(FieldNode(name=name),))),
        )
    )
    operation = OperationDefinitionNode(operation=OperationType.QUERY, selection_set=selections)
    empty = DocumentNode(definitions=())
    assert limits.measure(SCHEMA, empty, operation, None) == Measure(depth=1, cost=2, root_fields=2, fields=2)


names = st.sampled_from(["id", "name", "client", "clients", "invoices", "newest", "nodes", "totalCount", "nothing"])
introspections = st.sampled_from(["__schema", "__type", "__typename", "types", "fields", "args", "type", "enumValues"])
types = st.sampled_from(["Query", "Client", "Clients", "Invoices", "Node", "Owner", "ID", "Nothing", "__Type"])
values = st.sampled_from(["0", "3", "50", "200", "-1", "null", "$n", "$m", "$unknown", '"3"', "2.5", "[1]", "{a: 1}"])
arguments = st.sampled_from(["", "", "({0}: {1})", "(after: {1})", "({0}: {1}, last: 4)"])
directives = st.sampled_from(["", "", "", " @a", " @skip(if: true)"])
variables = st.none() | st.dictionaries(
    st.sampled_from("nm"), st.sampled_from([None, True, 0, 7, -7, 10**30, 7.0, float("nan"), "7", [7], {"n": 7}])
)


def braces(selections: list[str]) -> str:
    return "{ " + " ".join(selections) + " }"


def selections(fragments: str) -> st.SearchStrategy[str]:
    """Selection sets that spread the fragments of these one-letter names."""
    spreads = st.builds("...{}{}".format, st.sampled_from(fragments or "Z"), directives)
    pages = st.builds(str.format, arguments, st.sampled_from(["first", "last"]), values)

    def wider(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        below = st.lists(inner, max_size=3).map(braces)
        return (
            st.builds("{}{}{}{} {}".format, st.sampled_from(["", "", "a: "]), names, pages, directives, below)
            | st.builds("{}{} {}".format, st.sampled_from(["", "", "", "a: "]), introspections, below)
            | st.builds("... on {}{} {}".format, types, directives, below)
            | st.builds("...{} {}".format, directives, below)
        )

    return st.lists(st.recursive(names | introspections | spreads, wider, max_leaves=5), max_size=4).map(braces)


@st.composite
def documents(draw: st.DrawFn, *, cycles: bool) -> str:
    fragments = "ABCD"[: draw(st.integers(0, 4))]
    kind = draw(st.sampled_from(["query", "query", "mutation", "subscription"]))
    parts = [f"{kind} ($n: Int, $m: Int = 7){draw(directives)} {draw(selections(fragments))}"]
    for n, name in enumerate(fragments):
        reachable = fragments if cycles else fragments[n + 1 :]
        parts.append(f"fragment {name} on {draw(types)}{draw(directives)} {draw(selections(reachable))}")
    return "\n".join(parts)


@given(documents(cycles=True) | st.text('{}()[]:$@!.ab1" \n#', max_size=60), variables)
def test_any_document_is_measured_or_refused(text: str, variables: dict[str, object] | None) -> None:
    try:
        document = limits.parse(text)
    except GraphQLSyntaxError:
        return
    for operation in operations(document):
        try:
            total = limits.measure(SCHEMA, document, operation, variables)
        except LimitError as error:
            assert str(error).endswith(".")
        else:
            assert total.depth <= limits.MAX_DEPTH
            assert total.root_fields <= total.fields
            assert total.cost <= limits.MAX_COST


class Inline(Visitor):
    """Replaces each spread by the fragment, wherever it is."""

    def __init__(self, document: DocumentNode) -> None:
        super().__init__()
        self.fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_: object) -> InlineFragmentNode | None:
        if (fragment := self.fragments.get(node.name.value)) is None:
            return None
        return InlineFragmentNode(
            type_condition=fragment.type_condition,
            directives=(*(node.directives or ()), *(fragment.directives or ())),
            selection_set=visit(fragment.selection_set, self),
        )


@given(documents(cycles=False), variables)
def test_fragments_measure_as_if_they_were_written_out(text: str, variables: dict[str, object] | None) -> None:
    def outcome(document: DocumentNode) -> Measure | None:
        try:
            return limits.measure(SCHEMA, document, operations(document)[0], variables)
        except LimitError:
            return None

    document = limits.parse(text)
    assert outcome(document) == outcome(visit(document, Inline(document)))
