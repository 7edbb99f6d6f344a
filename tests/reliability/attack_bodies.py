"""Variables and bodies of at most 64 KiB that are made to cost as much as they can."""

import json
from typing import Any

from schema.limits import MAX_BYTES

Attack = tuple[str, dict[str, Any] | None]
"""A document and its variables. Where there are several operations, Q0 is meant."""

CREATE_INVOICE = "mutation($input: InvoiceCreateInput!) { invoiceCreate(input: $input) { id } }"
CREATE_CLIENT = "mutation($input: ClientCreateInput!) { clientCreate(input: $input) { id } }"
REPLY = "mutation($id: ID!, $message: String!) { ticketReply(id: $id, message: $message) { id } }"


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def item(number: int) -> dict[str, Any]:
    return {"description": f"{number}", "amount": "1"}


def _variables() -> dict[str, Attack]:
    query = "{__typename}"
    reply = {"id": "1"}
    return {
        "variables: 5,200 nobody declared": (query, {f"v{n}": 0 for n in range(5_200)}),
        "variables: a list of 21,000": (query, {"a": [0] * 21_000}),
        "variables: 31 deep": (query, {"a": deep(30)}),
        "variables: 31 deep, 1,000 times": (query, {"a": [deep(28)] * 1_000}),
        "variables: empty objects, 16,000": (query, {"a": [{}] * 16_000}),
        "variables: a name of 60,000 characters": (query, {"a" * 64_000: 1}),
        "variables: a string of 60,000 characters": (REPLY, reply | {"message": "a" * 64_000}),
        "variables: a message of 10,000 escapes": (REPLY, reply | {"message": "\x01" * 10_500}),
        "variables: a message of two-byte characters": (REPLY, reply | {"message": "é" * 10_500}),
        "invoice: 500 items": (
            CREATE_INVOICE,
            {"input": {"clientId": 1, "dueDate": "2030-01-31", "items": [item(n) for n in range(500)]}},
        ),
        "invoice: 500 items, all wrong": (
            CREATE_INVOICE,
            {
                "input": {
                    "clientId": 1,
                    "dueDate": "2030-01-31",
                    "items": [{"description": "", "amount": "1.234567"}] * 500,
                }
            },
        ),
        "invoice: 500 items, no money": (
            CREATE_INVOICE,
            {"input": {"clientId": 1, "dueDate": "2030-01-31", "items": [{"description": "a", "amount": "x"}] * 500}},
        ),
        "invoice: 500 items of wrong types": (
            CREATE_INVOICE,
            {"input": {"clientId": 1, "dueDate": "2030-01-31", "items": [{"description": 1, "amount": []}] * 500}},
        ),
        "invoice: 16,000 items without members": (
            CREATE_INVOICE,
            {"input": {"clientId": 1, "dueDate": "2030-01-31", "items": [{}] * 16_000}},
        ),
        "invoice: 21,000 items that are numbers": (
            CREATE_INVOICE,
            {"input": {"clientId": 1, "dueDate": "2030-01-31", "items": [1] * 21_000}},
        ),
        "invoice: 6,500 items with an unknown member": (
            CREATE_INVOICE,
            {"input": {"clientId": 1, "dueDate": "2030-01-31", "items": [{"a": 1}] * 6_500}},
        ),
        "invoice: 1,600 right items": (
            CREATE_INVOICE,
            {"input": {"clientId": 1, "dueDate": "2030-01-31", "items": [item(0)] * 1_600}},
        ),
        "client: 5,200 unknown members": (CREATE_CLIENT, {"input": {f"v{n}": 0 for n in range(5_200)}}),
        "client: long values everywhere": (
            CREATE_CLIENT,
            {"input": dict.fromkeys(("firstName", "lastName", "email", "company", "phone", "city"), "a" * 10_000)},
        ),
        "client: an e-mail address of 60,000 characters": (
            CREATE_CLIENT,
            {"input": {"firstName": "A", "lastName": "B", "password": "12345678", "email": "a" * 60_000 + "@b.test"}},
        ),
        "client: an e-mail address of 250 characters": (
            CREATE_CLIENT,
            {"input": {"firstName": "A", "lastName": "B", "password": "12345678", "email": "a@" + "é." * 120 + "test"}},
        ),
        "filter: a text of 60,000 characters": (
            "query($f:ClientFilter){clients(filter:$f){totalCount}}",
            {"f": {"q": "a" * 60_000}},
        ),
    }


VARIABLES: dict[str, Attack] = _variables()


def writes() -> dict[str, tuple[str, bytes]]:
    """Requests of REST, each with its path."""
    given = {"client_id": 1, "due_date": "2030-01-31"}

    def invoice(items: list[Any]) -> tuple[str, bytes]:
        return "/api/v1/invoices", json.dumps(given | {"items": items}).encode()

    return {
        "500 items, all wrong": invoice([{"description": "", "amount": "1.234567"}] * 500),
        "500 items of wrong types": invoice([{"description": 1, "amount": []}] * 500),
        "1,400 right items": invoice([item(0)] * 1_400),
        "16,000 items without members": invoice([{}] * 16_000),
        "16,000 items that are numbers": invoice([1] * 16_000),
        "5,000 items with an unknown member": invoice([{"a": 1}] * 5_000),
        "500 items of 15 unknown members": invoice([{f"{n}": 1 for n in range(15)}] * 500),
        "5,200 unknown members": ("/api/v1/clients", json.dumps({f"v{n}": 0 for n in range(5_200)}).encode()),
        "one unknown member with a long name": ("/api/v1/clients", json.dumps({"a" * 64_000: 0}).encode()),
        "a message of 60,000 characters": (
            "/api/v1/tickets",
            json.dumps({"client_id": 2, "department_id": 1, "subject": "a", "message": "a" * 60_000}).encode(),
        ),
    }


def bodies() -> dict[str, bytes]:
    """Bodies that are no request of either door."""

    def filled(start: bytes, piece: bytes, end: bytes = b"") -> bytes:
        return start + piece * ((MAX_BYTES - len(start) - len(end)) // len(piece)) + end

    return {
        "brackets that open": filled(b"", b"["),
        "braces that open": filled(b"", b'{"a":'),
        "brackets, deep and closed": b"[" * 32_000 + b"]" * 32_000,
        "quotes": filled(b"", b'"'),
        "a string that does not end": filled(b'"', b"a"),
        "a string of backslashes": filled(b'"', b"\\"),
        "escapes of surrogates": filled(b'{"a":"', b"\\ud83d\\ude00", b'"'),
        "escapes of half a surrogate, at the end": filled(b'{"a":"', b"\\u0061", b'\\ud800"}'),
        "escaped backslashes": filled(b'{"a":"', b"\\\\", b'"'),
        "digits": filled(b"", b"9"),
        "a number with a long fraction": filled(b'{"a":1.', b"9", b"}"),
        "exponents": filled(b"[", b"1e9,", b"1]"),
        "numbers": filled(b"[", b"1,", b"1]"),
        "empty strings": filled(b"[", b'"",', b'""]'),
        "empty objects": filled(b"[", b"{},", b"{}]"),
        "members": b"{" + b",".join(b'"%d":1' % n for n in range(6_500)) + b"}",
        "the same member": filled(b"{", b'"a":1,', b'"a":1}'),
        "blanks": filled(b"", b" "),
        "bytes that are no UTF-8": filled(b'"', b"\xff"),
        "bytes that are no UTF-8, at the end": filled(b'"', b"a", b"\xff"),
        "two-byte characters": filled(b'{"a":"', "é".encode(), b'"'),
        "NULs": filled(b"", b"\x00"),
    }
