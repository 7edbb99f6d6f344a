"""GraphQL over HTTP: methods, media types, statuses, and what a request may consist of."""

import json
from typing import Any

import httpx2
import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio

JSON = "application/json"
RESPONSE_JSON = "application/graphql-response+json"
TYPENAME = "{ __typename }"


async def sent(
    house: House, body: Any, *, accept: str | None = None, content_type: str = JSON, method: str = "POST"
) -> httpx2.Response:
    """One request with a body: bytes and strings as they are, all else as JSON."""
    content = body if isinstance(body, bytes | str) else json.dumps(body)
    headers = {"content-type": content_type} | ({} if accept is None else {"accept": accept})
    async with house.http() as http:
        return await http.request(method, "/graphql", content=content, headers=headers)


async def got(house: House, accept: str = JSON, method: str = "GET", **parameters: str) -> httpx2.Response:
    async with house.http() as http:
        return await http.request(method, "/graphql", params=parameters, headers={"accept": accept})


def refusal(answer: httpx2.Response) -> str:
    """The sentence of an answer that has errors and no data, with a code and in a media type of GraphQL."""
    body = answer.json()
    assert "data" not in body
    assert body["errors"][0]["extensions"]["code"] == "VALIDATION_ERROR"
    assert answer.headers["content-type"] in (f"{JSON}; charset=utf-8", f"{RESPONSE_JSON}; charset=utf-8")
    return str(body["errors"][0]["message"])


# Media types


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        (JSON, JSON),
        (RESPONSE_JSON, RESPONSE_JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (f"{RESPONSE_JSON}, {JSON}", RESPONSE_JSON),
        (f"{JSON}, {RESPONSE_JSON}", JSON),
        (f"{JSON};q=0.5, {RESPONSE_JSON};q=0.9", RESPONSE_JSON),
        (f"{JSON}, {RESPONSE_JSON};q=0.9", JSON),
        (f"{RESPONSE_JSON}; charset=utf-8, {JSON}; charset=utf-8", RESPONSE_JSON),
        (f"{JSON};q=0, */*", RESPONSE_JSON),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
        ("Application/JSON", JSON),
    ],
)
async def test_the_answer_has_the_media_type_that_is_accepted_rather(house: House, accept: str, answered: str) -> None:
    answer = await sent(house, {"query": TYPENAME}, accept=accept)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == f"{answered}; charset=utf-8"
    assert answer.json() == {"data": {"__typename": "Query"}}


async def test_several_accept_headers_count_as_one(house: House) -> None:
    async with house.http() as http:
        headers = [("accept", "text/html"), ("accept", RESPONSE_JSON), ("content-type", JSON)]
        request = http.build_request("POST", "/graphql", content=json.dumps({"query": TYPENAME}), headers=headers)
        answer = await http.send(request)
    assert answer.headers["content-type"] == f"{RESPONSE_JSON}; charset=utf-8"


@pytest.mark.parametrize("accept", ["text/html", f"{JSON};q=0", "application/xml, text/plain", f"*/*;q=0, {JSON};q=0"])
async def test_a_media_type_that_is_not_spoken_is_refused(house: House, accept: str) -> None:
    answer = await sent(house, {"query": TYPENAME}, accept=accept)
    assert answer.status_code == 406
    assert RESPONSE_JSON in refusal(answer)


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", "Application/JSON;charset=UTF-8"])
async def test_json_bodies_are_read(house: House, content_type: str) -> None:
    answer = await sent(house, {"query": TYPENAME}, content_type=content_type)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/graphql", "application/x-www-form-urlencoded", "multipart/form-data"],
)
async def test_other_bodies_are_refused(house: House, content_type: str) -> None:
    answer = await sent(house, {"query": TYPENAME}, content_type=content_type)
    assert answer.status_code == 415
    assert "application/json" in refusal(answer)


# Statuses


MALFORMED = [
    b"",
    b"NONSENSE",
    b'{"query":',
    b"[]",
    b'"{ __typename }"',
    b"null",
    b'[{"query": "{ __typename }"}]',
    b'\xff{"query": "{ __typename }"}',
    b'{"query": "{ __typename }", "query": "{ __typename }"}',
]


@pytest.mark.parametrize("accept", [JSON, RESPONSE_JSON])
async def test_a_body_that_is_no_json_object_is_400(house: House, accept: str) -> None:
    for body in MALFORMED:
        answer = await sent(house, body, accept=accept)
        assert answer.status_code == 400, body
        refusal(answer)


WRONG: dict[str, list[Any]] = {
    "query": [None, 1, True, [], {}, "", "  "],
    "variables": [0, 1, True, False, [], "{}", ""],
    "extensions": [0, 1, True, False, [], "{}", ""],
    "operationName": [0, 1, True, False, [], {}],
}


@pytest.mark.parametrize("accept", [JSON, RESPONSE_JSON])
@pytest.mark.parametrize("member", WRONG)
async def test_a_member_of_the_wrong_type_is_400(house: House, member: str, accept: str) -> None:
    for value in WRONG[member]:
        answer = await sent(house, {"query": TYPENAME} | {member: value}, accept=accept)
        assert answer.status_code == 400, value
        assert member in refusal(answer)


async def test_optional_members_may_be_null_and_others_are_ignored(house: House) -> None:
    more = {"variables": None, "operationName": None, "extensions": None, "another": 1}
    for members in (more, {"variables": {}, "operationName": "", "extensions": {"a": 1}}):
        answer = await sent(house, {"query": TYPENAME} | members)
        assert answer.json() == {"data": {"__typename": "Query"}}


UNEXECUTED = {
    "a syntax error": {"query": "{"},
    "an unknown field": {"query": "{ nothing }"},
    "an unknown argument": {"query": "{ clients(colour: 1) { totalCount } }"},
    "an unknown operation": {"query": "query A { __typename }", "operationName": "B"},
    "an ambiguous operation": {"query": "query A { __typename } query B { __typename }"},
    "a document without operations": {"query": "fragment F on Query { __typename }"},
    "a missing variable": {"query": "query($id: ID!) { client(id: $id) { id } }"},
    "a variable of the wrong type": {
        "query": "query($first: Int) { clients(first: $first) { totalCount } }",
        "variables": {"first": "x"},
    },
    "an unknown member of a variable": {
        "query": "query($filter: ClientFilter) { clients(filter: $filter) { totalCount } }",
        "variables": {"filter": {"colour": 1}},
    },
    "a subscription": {"query": "subscription { invoicePaid { id } }"},
    "a document that costs too much": {
        "query": "{ clients(first: 100) { nodes { invoices(first: 100) { nodes { id } } } } }"
    },
    "a document that is too deep": {"query": "{" + "client(id: 1) { services { nodes {" * 5 + "id" + "}}}" * 5 + "}"},
}


@pytest.mark.parametrize(("accept", "status"), [(JSON, 200), (RESPONSE_JSON, 400)])
@pytest.mark.parametrize("body", UNEXECUTED.values(), ids=UNEXECUTED.keys())
async def test_what_cannot_be_executed_has_a_code_and_no_data(
    house: House, body: dict[str, Any], accept: str, status: int
) -> None:
    answer = await sent(house, body, accept=accept)
    assert answer.status_code == status
    refusal(answer)


@pytest.mark.parametrize(("accept", "status"), [(JSON, 200), (RESPONSE_JSON, 403)])
async def test_what_a_key_may_not_do_is_not_executed(house: House, accept: str, status: int) -> None:
    key = await house.new_key("clients:read")
    async with house.http(key) as http:
        body = {"query": "{ clients { totalCount } invoices { totalCount } }"}
        answer = await http.post("/graphql", json=body, headers={"accept": accept})
    assert answer.status_code == status
    assert "data" not in answer.json()
    (error,) = answer.json()["errors"]
    assert error["message"] == "This key lacks the scope invoices:read."
    assert error["locations"] == [{"line": 1, "column": 26}]
    assert error["extensions"] == {"code": "FORBIDDEN"}


@pytest.mark.parametrize("accept", [JSON, RESPONSE_JSON])
@pytest.mark.parametrize(
    ("query", "data"),
    [
        ("{ client(id: 9) { id } __typename }", {"client": None, "__typename": "Query"}),
        ("{ clients(first: 0) { totalCount } }", None),
        ("mutation { clientDelete(id: 9) { id } }", None),
    ],
)
async def test_errors_of_fields_come_with_200(house: House, query: str, data: Any, accept: str) -> None:
    answer = await sent(house, {"query": query}, accept=accept)
    assert answer.status_code == 200
    assert answer.json()["data"] == data
    (error,) = answer.json()["errors"]
    assert len(error["path"]) == 1
    assert error["locations"][0]["line"] == 1


async def test_the_sentences_of_a_syntax_error_say_where(house: House) -> None:
    answer = await sent(house, {"query": "{\n  client(\n}"})
    (error,) = answer.json()["errors"]
    assert error["message"].startswith("Syntax Error")
    assert error["locations"] == [{"line": 3, "column": 1}]


async def test_all_errors_of_a_validation_are_told(house: House) -> None:
    answer = await sent(house, {"query": "{ nothing nowhere }"})
    assert [error["extensions"]["code"] for error in answer.json()["errors"]] == ["VALIDATION_ERROR"] * 2


# Methods


async def test_a_query_by_get_is_answered(house: House) -> None:
    client = await house.a_client()
    query = "query A($id: ID!) { client(id: $id) { firstName } } query B { __typename }"
    answer = await got(house, query=query, variables=json.dumps({"id": client["id"]}), operationName="A")
    assert answer.status_code == 200
    assert answer.json() == {"data": {"client": {"firstName": "Ada"}}}
    assert answer.headers["cache-control"] == "no-store"


async def test_empty_parameters_of_get_are_absent_ones(house: House) -> None:
    answer = await got(house, query=TYPENAME, variables="", operationName="", extensions="")
    assert answer.json() == {"data": {"__typename": "Query"}}


async def test_an_operation_may_be_named_null_in_get(house: House) -> None:
    answer = await got(house, query="query null { __typename } query B { a: __typename }", operationName="null")
    assert answer.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("accept", [JSON, RESPONSE_JSON])
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"query": ""},
        {"query": TYPENAME, "variables": "{"},
        {"query": TYPENAME, "variables": "[]"},
        {"query": TYPENAME, "extensions": "1"},
    ],
)
async def test_malformed_parameters_of_get_are_400(house: House, parameters: dict[str, str], accept: str) -> None:
    answer = await got(house, accept, **parameters)
    assert answer.status_code == 400
    refusal(answer)


@pytest.mark.parametrize("url", ["/graphql?query={__typename}&query={__typename}", "/graphql?query=%ff"])
async def test_ambiguous_and_undecodable_query_strings_are_400(house: House, url: str) -> None:
    async with house.http() as http:
        answer = await http.get(url)
    assert answer.status_code == 400
    refusal(answer)


@pytest.mark.parametrize("accept", [JSON, RESPONSE_JSON])
async def test_a_mutation_by_get_is_405_and_changes_nothing(house: House, accept: str) -> None:
    query = 'mutation { departmentCreate(input: {name: "Sales"}) { id } }'
    answer = await got(house, accept, query=query)
    assert answer.status_code == 405
    assert "POST" in answer.headers["allow"]
    assert "POST" in refusal(answer)
    both = f"query A {TYPENAME} mutation B {query.removeprefix('mutation')}"
    assert (await got(house, accept, query=both, operationName="B")).status_code == 405
    assert (await got(house, accept, query=both, operationName="A")).status_code == 200
    assert await house.rows("SELECT name FROM departments") == [("Support",)]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "TRACE"])
async def test_other_methods_are_405(house: House, method: str) -> None:
    answer = await sent(house, {"query": TYPENAME}, method=method)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"
    refusal(answer)


async def test_head_is_get_without_the_body(house: House) -> None:
    whole = await got(house, query=TYPENAME)
    head = await got(house, method="HEAD", query=TYPENAME)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-type"] == whole.headers["content-type"]
    assert head.headers["content-length"] == str(len(whole.content))


async def test_options_tell_the_methods(house: House) -> None:
    async with house.http() as http:
        answer = await http.options("/graphql")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == "GET, HEAD, POST, OPTIONS"


async def test_a_trailing_slash_is_the_same_place_and_nothing_is_below(house: House) -> None:
    async with house.http() as http:
        assert (await http.post("/graphql/", json={"query": TYPENAME})).status_code == 200
        below = await http.post("/graphql/more", json={"query": TYPENAME})
    assert below.status_code == 404
    assert below.json()["errors"][0]["extensions"]["code"] == "NOT_FOUND"


# Who calls


@pytest.mark.parametrize("accept", [JSON, RESPONSE_JSON, "text/html"])
@pytest.mark.parametrize("token", ["", "nonsense", "arcb_live_" + "0" * 38])
async def test_nothing_is_anonymous(house: House, token: str, accept: str) -> None:
    async with house.http(token) as http:
        headers = {"accept": accept}
        answers = [
            await http.post("/graphql", json={"query": TYPENAME}, headers=headers),
            await http.post("/graphql", json={"query": "{ __schema { queryType { name } } }"}, headers=headers),
            await http.post("/graphql", content=b"NONSENSE", headers=headers),
            await http.get("/graphql", params={"query": TYPENAME}, headers=headers),
            await http.options("/graphql", headers=headers),
        ]
    for answer in answers:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "data" not in answer.json()
        assert answer.json()["errors"][0]["extensions"] == {"code": "UNAUTHORIZED"}


async def test_a_document_larger_than_the_door_reads_is_413(house: House) -> None:
    answer = await sent(house, {"query": TYPENAME + " " * 70_000})
    assert answer.status_code == 413
    refusal(answer)


async def test_every_answer_has_the_callers_request_id(house: House) -> None:
    async with house.http() as http:
        answer = await http.post("/graphql", json={"query": "{"}, headers={"x-request-id": "abc-123"})
    assert answer.headers["x-request-id"] == "abc-123"
