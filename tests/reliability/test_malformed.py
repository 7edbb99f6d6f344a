"""Whatever is sent, the answer says what is wrong with it: malformed input is never our failure."""

import json
import os
from urllib.parse import quote_from_bytes

import pytest
from anyio import from_thread, to_thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema import checks
from schema.errors import sentence
from tests.conftest import House
from tests.reliability.soundness import tell
from tests.reliability.test_attacks import Cost, asked

pytestmark = pytest.mark.anyio

EXAMPLES = int(os.environ.get("ARCBILLING_FUZZ_EXAMPLES", "200"))
"""How many requests each test makes up: more of them find more."""

thorough = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])

# JSON, and what looks like it

STRANGE = [
    "null",
    "true",
    "[]",
    "{}",
    '""',
    "0",
    "1",
    "-1",
    "1.5",
    "1e3",
    "1e1000000",
    "-1e-1000000",
    "NaN",
    "-Infinity",
    "9" * 30,
    "9" * 5_000,
    "0." + "1" * 100,
    "-0",
    "01",
    "1.",
    str(2**63),
    str(-(2**63)),
    '"\\u0000"',
    '"\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\',
    '"\x00"',
    '"\u202e\ufeff\u2028"',
    '"' + "a" * 70_00 + '"',
    '"2026-02-30"',
    '"2026-01-31T25:00:00Z"',
    '"0001-01-01T00:00:00+23:59"',
    '"9999-12-31T23:59:59-23:59"',
    '"cli_1"',
    '"inv_99999999999999999999"',
    '"USD"',
    '"US"',
    '"monthly"',
    '"MONTHLY"',
    '"a@b.test"',
    '"xn--a.test"',
    '"12345678"',
    '"1e9"',
    '"١٢"',
    "[" * 40 + "]" * 40,
    "[" * 400,
]

NAMES = [
    *("first_name", "last_name", "email", "password", "country", "currency", "status", "client_id", "product_id"),
    *("billing_cycle", "domain", "invoice", "due_date", "items", "description", "amount", "method", "transaction_id"),
    *(
        "paid_at",
        "department_id",
        "subject",
        "message",
        "priority",
        "reason",
        "note",
        "id",
        "created_at",
        "",
        "\\u0061",
    ),
]
GRAPHQL_NAMES = [
    *("query", "variables", "operationName", "extensions", "input", "id", "filter", "clientId", "dueDate", "items"),
    *("description", "amount", "firstName", "lastName", "email", "password", "message", "first", "after", "q", ""),
]
DOCUMENTS = [
    "{ __typename }",
    "query($filter: ClientFilter, $first: Int, $after: String) "
    "{ clients(first: $first, after: $after, filter: $filter) { totalCount nodes { id } } }",
    "mutation($input: ClientCreateInput!) { clientCreate(input: $input) { id } }",
    "mutation($input: InvoiceCreateInput!) { invoiceCreate(input: $input) { id } }",
    "mutation($id: ID!, $message: String!) { ticketReply(id: $id, message: $message) { id } }",
    "mutation($id: ID!, $amount: Money) { invoicePay(id: $id, amount: $amount) { id } }",
    "query($id: ID!) { node(id: $id) { id } }",
]


def in_braces(pairs: list[tuple[str, str]]) -> str:
    members = ",".join(f'"{name}":{value}' for name, value in pairs)
    return f"{{{members}}}"


def written(names: list[str]) -> st.SearchStrategy[str]:
    """JSON as somebody may write it: with members given twice, and with values that are none."""

    def holding(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        arrays = st.lists(inner, max_size=4).map(lambda values: f"[{','.join(values)}]")
        return arrays | st.lists(st.tuples(st.sampled_from(names), inner), max_size=8).map(in_braces)

    texts = st.text(max_size=20).map(lambda text: json.dumps(text, ensure_ascii=False))
    return st.recursive(st.sampled_from(STRANGE) | texts | st.integers().map(str), holding, max_leaves=12)


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[str]) -> bytes:
    """The text as bytes, now and then with something else in the middle of it."""
    body = draw(whole).encode(errors="surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        place = draw(st.integers(0, len(body)))
        body = body[:place] + draw(st.binary(max_size=6)) + body[place + draw(st.integers(0, 6)) :]
    return body


def members(names: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.tuples(st.sampled_from(names), written(names)), max_size=12).map(in_braces)


documents = st.sampled_from(DOCUMENTS) | st.text('{}()[]:!$@."\\ab1_ \n#', max_size=60) | st.text(max_size=30)
requests = st.builds(
    '{{"query":{},"variables":{}{}}}'.format,
    documents.map(json.dumps),
    members(GRAPHQL_NAMES) | written(GRAPHQL_NAMES),
    st.sampled_from(["", "", ',"operationName":null', ',"operationName":1', ',"extensions":[]', ',"variables":{}']),
)
PATHS = [
    *("/clients", "/clients/1", "/services", "/services/1/suspend", "/invoices", "/invoices/1/pay", "/tickets"),
    *("/tickets/1/reply", "/tickets/1/close", "/nowhere", "/clients/x", "/clients/99999999999999999999"),
]
PARAMETERS = [
    *("page", "per_page", "cursor", "sort", "total", "status", "client_id", "q", "created_from", "created_to"),
    *("query", "variables", "operationName", "extensions", "a", ""),
]
queries = st.lists(
    st.tuples(
        st.sampled_from(PARAMETERS), st.sampled_from([*STRANGE, *DOCUMENTS]).map(str.encode) | st.binary(max_size=12)
    ),
    max_size=5,
).map(lambda pairs: "&".join(f"{name}={quote_from_bytes(value)}" for name, value in pairs).encode()) | st.binary(
    max_size=30
)


def check_rest(cost: Cost) -> None:
    assert cost.status < 500, cost.answer
    answer = json.loads(cost.answer)
    if cost.status >= 400:
        assert answer["status"] == "error"
        assert answer["error"]["code"] in ("VALIDATION_ERROR", "NOT_FOUND")
        assert answer["error"]["message"]


def check_graphql(cost: Cost) -> None:
    assert cost.status < 500, cost.answer
    for error in json.loads(cost.answer).get("errors", []):
        assert error["extensions"]["code"] in ("VALIDATION_ERROR", "NOT_FOUND")
        assert error["message"]


async def furnished(house: House) -> None:
    """Something that requests may find."""
    client = (await house.a_client())["id"]
    await house.an_invoice(client)
    await house.a_ticket(client)


async def test_no_body_of_rest_is_our_failure(house: House) -> None:
    await furnished(house)

    @thorough
    @given(
        st.sampled_from(["POST", "POST", "PUT"]),
        st.sampled_from(PATHS),
        damaged(members(NAMES) | written(NAMES)) | st.binary(),
    )
    def fuzz(method: str, path: str, body: bytes) -> None:
        check_rest(from_thread.run(asked, house, f"/api/v1{path}", body, method))

    await to_thread.run_sync(fuzz)
    tell(f"{EXAMPLES:,} bodies of REST")


async def test_no_body_of_graphql_is_our_failure(house: House) -> None:
    await furnished(house)

    @thorough
    @given(damaged(requests) | damaged(members(GRAPHQL_NAMES)) | st.binary())
    def fuzz(body: bytes) -> None:
        check_graphql(from_thread.run(asked, house, "/graphql", body))

    await to_thread.run_sync(fuzz)
    tell(f"{EXAMPLES:,} bodies of GraphQL")


async def test_no_query_string_is_our_failure(house: House) -> None:
    await furnished(house)

    @thorough
    @given(st.sampled_from(["/clients", "/services", "/invoices", "/tickets", "/products", "/clients/1"]), queries)
    def fuzz(path: str, query: bytes) -> None:
        check_rest(from_thread.run(asked, house, f"/api/v1{path}", b"", "GET", query))
        check_graphql(from_thread.run(asked, house, "/graphql", b"", "GET", query))

    await to_thread.run_sync(fuzz)
    tell(f"{2 * EXAMPLES:,} query strings")


async def test_no_strange_value_is_our_failure_anywhere(house: House) -> None:
    """Each of them once for each member, so that none is left to chance."""
    await furnished(house)
    for value in STRANGE:
        for name in NAMES:
            for path in ("/clients", "/invoices", "/services", "/tickets/1/reply", "/invoices/1/pay"):
                body = f'{{"{name}":{value}}}'.encode(errors="surrogatepass")
                check_rest(await asked(house, f"/api/v1{path}", body))


async def test_no_more_is_found_wrong_than_is_told(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body of 1 MiB has room for 120,000 mistakes."""
    found: list[str] = []

    def noted(path: str, reason: str) -> str:
        found.append(path)
        return sentence(path, reason)

    monkeypatch.setattr(checks, "sentence", noted)
    wrong = {f"a{number}": 1 for number in range(250)}
    answer = await house.rest("POST", "/invoices", {"client_id": 1, "due_date": "2030-01-01", "items": [wrong] * 480})
    error = answer.json()["error"]
    assert (answer.status_code, len(error["fields"])) == (400, checks.MAX_ERRORS)
    assert len(found) < 2 * checks.MAX_ERRORS
