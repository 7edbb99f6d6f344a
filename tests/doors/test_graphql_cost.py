"""What GraphQL requests cost: the key's budget is shared by both doors, and too much is refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import graphql
import pytest

from schema.documents import CACHED_SIZE, Documents
from schema.root import build
from tests.conftest import House, open_house
from tests.databases import EmptyDatabase

pytestmark = pytest.mark.anyio

CHEAP = "{ __typename }"


@pytest.fixture
async def limited(tmp_path: Path, empty_database: EmptyDatabase) -> AsyncIterator[House]:
    """A house with the limits of the contract."""
    limits = {"rate_limit_authenticated": "60/minute", "rate_limit_anonymous": "10/minute"}
    async with open_house(tmp_path, empty_database, **limits) as opened:
        yield opened


async def remaining(house: House, query: str, variables: dict[str, object] | None = None) -> int:
    async with house.http() as http:
        answer = await http.post("/graphql", json={"query": query, "variables": variables})
    assert answer.headers["x-ratelimit-limit"] == "60"
    return int(answer.headers["x-ratelimit-remaining"])


async def test_a_request_costs_one_and_one_more_for_each_five_hundred(limited: House) -> None:
    left = 60
    for query, price in (
        (CHEAP, 1),
        ("{ clients { nodes { id } } }", 1),  # 1 + 25 * 2
        ("{ clients(first: 100) { nodes { id email } } }", 1),  # 1 + 100 * 3
        ("{ clients(first: 100) { nodes { id email city status } } }", 2),  # 1 + 100 * 5 = 501
        ("{ clients(first: 10) { nodes { invoices(first: 100) { nodes { id } } } } }", 5),  # 1 + 10 * (2 + 200) = 2,021
        ("{ clients(last: 100) { nodes { id email city status } } }", 2),
    ):
        left -= price
        assert await remaining(limited, query) == left, query


async def test_variables_and_defaults_count_as_they_are_used(limited: House) -> None:
    query = "query($first: Int = 100) { clients(first: $first) { nodes { id email city status } } }"
    assert await remaining(limited, query) == 58
    assert await remaining(limited, query, {"first": 10}) == 57
    assert await remaining(limited, query, {"first": None}) == 56
    assert await remaining(limited, query.replace(" = 100", "")) == 55


async def test_introspection_costs_one(limited: House) -> None:
    assert await remaining(limited, graphql.get_introspection_query()) == 59


async def test_both_doors_share_the_budget_of_a_key(limited: House) -> None:
    assert await remaining(limited, CHEAP) == 59
    assert (await limited.rest("GET", "/clients")).headers["x-ratelimit-remaining"] == "58"
    assert await remaining(limited, "{ clients(first: 100) { nodes { id email city status } } }") == 56


async def test_a_used_up_budget_is_429_with_errors(limited: House) -> None:
    for _ in range(60):
        await remaining(limited, CHEAP)
    async with limited.http() as http:
        answer = await http.post("/graphql", json={"query": CHEAP})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["x-ratelimit-remaining"] == "0"
    assert "data" not in answer.json()
    assert answer.json()["errors"][0]["extensions"] == {"code": "RATE_LIMITED"}


async def test_a_request_that_costs_more_than_is_left_is_429_and_not_run(limited: House) -> None:
    for _ in range(57):
        await remaining(limited, CHEAP)
    dear = "{ clients(first: 10) { nodes { invoices(first: 100) { nodes { id } } } } }"
    async with limited.http() as http:
        answer = await http.post("/graphql", json={"query": dear})
    assert answer.status_code == 429
    assert "data" not in answer.json()


async def test_without_a_key_the_address_pays(limited: House) -> None:
    async with limited.http("") as http:
        statuses = [(await http.post("/graphql", json={"query": CHEAP})).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]


async def test_what_costs_more_than_five_thousand_is_refused_with_a_sentence(house: House) -> None:
    dearest = "{ clients(first: 24) { nodes { invoices(first: 100) { nodes { id } } } } }"  # 1 + 24 * 202 = 4,849
    assert await house.data(dearest) == {"clients": {"nodes": []}}
    response = await house.graphql(dearest.replace("24", "25"))
    (error,) = response["errors"]
    assert error["extensions"]["code"] == "VALIDATION_ERROR"
    assert error["message"].startswith("The document costs 5,051 points")
    assert "5,000" in error["message"]
    assert "data" not in response


async def test_aliases_and_fragments_do_not_hide_costs(house: House) -> None:
    page = "clients(first: 100) { nodes { ...Everything } }"
    document = f"{{ a: {page} b: {page} c: {page} }} fragment Everything on Client {{ {'id ' * 17} }}"
    response = await house.graphql(document)
    assert "points" in response["errors"][0]["message"]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("{ " + "client(id: 1) { services { nodes { " * 5 + "id" + " } } }" * 5 + " }", "levels"),
        ("{ " + " ".join(f"a{n}: __typename" for n in range(21)) + " }", "root fields"),
        ("{ clients { nodes { " + " ".join(f"a{n}: id" for n in range(31)) + " } } }", "aliases"),
        ("{ __typename " + "@include(if: true) " * 21 + "}", "directives"),
        ("{ clients { nodes { " + "id " * 2000 + "} } }", "tokens"),
        ("fragment A on Client { ...B } fragment B on Client { ...A } { clients { nodes { ...A } } }", "itself"),
        ("{ a: __schema { types { name } } }", "aliases"),
    ],
)
async def test_documents_are_bounded(house: House, query: str, words: str) -> None:
    response = await house.graphql(query)
    assert [error["extensions"]["code"] for error in response["errors"]] == ["VALIDATION_ERROR"]
    assert words in response["errors"][0]["message"]
    assert "data" not in response


def test_documents_are_kept_within_a_bound_and_the_least_lately_used_are_dropped() -> None:
    documents = Documents(build())
    first, _ = documents.operation(CHEAP, None, {})
    padding = " " * 60_000
    for number in range(40):
        documents.operation(f"{{ a{number}: __typename }}{padding}", None, {})
        assert documents.operation(CHEAP, None, {})[0] is first
        assert documents.size <= CACHED_SIZE
    dropped, _ = documents.operation(f"{{ a0: __typename }}{padding}", None, {})
    for number in range(1, 40):
        documents.operation(f"{{ a{number}: __typename }}{padding}", None, {})
    assert documents.operation(f"{{ a0: __typename }}{padding}", None, {})[0] is not dropped
    assert documents.operation(CHEAP, None, {})[0] is not first


def test_a_document_that_is_refused_is_not_kept() -> None:
    documents = Documents(build())
    with pytest.raises(graphql.GraphQLError):
        documents.operation("{", None, {})
    assert documents.size == 0
