"""The five workloads, as requests over REST and as the same over GraphQL."""

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, cycle
from typing import Any, Literal

import orjson

from bench.filling import JPY_EVERY

Door = Literal["rest", "graphql"]
PAGE = 50
LENGTH = 500
"""Requests of a workload that only reads are as many, over and over."""

_CLIENT = (
    "id first_name: firstName last_name: lastName email company phone address city country status currency "
    "created_at: createdAt updated_at: updatedAt"
)
_INVOICE = (
    "id number client_id: clientId status due_date: dueDate subtotal tax total balance currency "
    "items { id description amount } paid_at: paidAt created_at: createdAt updated_at: updatedAt"
)
_PAGE_INFO = "pageInfo { hasNextPage endCursor }"
DOCUMENTS = {
    "W1": f"query Get($id: ID!) {{ data: client(id: $id) {{ {_CLIENT} }} }}",
    "W2": f"query List($first: Int, $after: String) {{ data: clients(first: $first, after: $after) "
    f"{{ nodes {{ {_CLIENT} }} {_PAGE_INFO} }} }}",
    "W3": f"query List($first: Int, $after: String) {{ data: invoices(first: $first, after: $after) "
    f"{{ nodes {{ {_INVOICE} }} {_PAGE_INFO} }} }}",
    "W4": f"mutation Create($input: ClientCreateInput!) {{ data: clientCreate(input: $input) {{ {_CLIENT} }} }}",
    "W5": f"mutation Create($input: InvoiceCreateInput!) {{ data: invoiceCreate(input: $input) {{ {_INVOICE} }} }}",
}
"""Each selects what the REST document of its route does."""
_CAMEL = {"first_name": "firstName", "last_name": "lastName", "client_id": "clientId", "due_date": "dueDate"}


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    writes: bool = False


WORKLOADS = (
    Workload("W1", "get one client"),
    Workload("W2", "list 50 clients"),
    Workload("W3", "list 50 invoices with their items"),
    Workload("W4", "create a client", writes=True),
    Workload("W5", "create an invoice of 3 items, with its event", writes=True),
)
_numbers = count(1_000)
"""Of what is created under load; those below are for the comparison of answers."""


def cursor(row: str, id: int) -> str:
    """As the product writes it."""
    return base64.urlsafe_b64encode(orjson.dumps([f"{row} id", id, id])).rstrip(b"=").decode()


def new_client(number: int) -> dict[str, Any]:
    return {
        "first_name": "Zoë",
        "last_name": f"Tester {number}",
        "email": f"zoe.{number}@example.org",
        "password": "correct horse battery",
        "company": "Zoë & Partners",
        "phone": "+1 555 0100",
        "address": "1 Main Street",
        "city": "Springfield",
        "country": "US",
    }


def new_invoice(number: int, clients: int) -> dict[str, Any]:
    client = number * 7 % clients + 1
    if client % JPY_EVERY == 0:
        client -= 1  # the amounts below have cents
    items = [{"description": f"Hosting {number}, part {place}", "amount": f"{place}9.99"} for place in (1, 2, 3)]
    return {"client_id": client, "due_date": "2027-01-31", "items": items}


class Requests:
    """Renders the requests of one key; the numbers in what is created never come twice."""

    def __init__(self, key: str, clients: int, invoices: int) -> None:
        self._key = key
        self._clients = clients
        self._invoices = invoices

    def source(self, workload: str, door: Door, page: int = PAGE) -> Iterator[bytes]:
        """Requests without end; those that read are the same for every system."""
        if workload in ("W4", "W5"):
            return (self.one(workload, door, next(_numbers)) for _ in count())
        most = self._most(workload, page)
        places = random.Random(1).sample(range(most), min(LENGTH, most))
        return cycle([self.one(workload, door, place, page) for place in places])

    def one(self, workload: str, door: Door, number: int, page: int = PAGE) -> bytes:
        """The request of a number: of that client, of the page behind that id, or to create what has that number."""
        if door == "graphql":
            body = {"query": DOCUMENTS[workload], "variables": self._variables(workload, number, page)}
            return self._post("/graphql", body)
        match workload:
            case "W1":
                return self._get(f"/api/v1/clients/{number + 1}")
            case "W2":
                return self._get(f"/api/v1/clients?per_page={page}&cursor={cursor('ClientRow', number)}")
            case "W3":
                return self._get(f"/api/v1/invoices?per_page={page}&cursor={cursor('InvoiceRow', number)}")
            case "W4":
                return self._post("/api/v1/clients", new_client(number))
            case _:
                return self._post("/api/v1/invoices", new_invoice(number, self._clients))

    def _most(self, workload: str, page: int) -> int:
        return {"W1": self._clients, "W2": self._clients - page, "W3": self._invoices - page}[workload]

    def _variables(self, workload: str, number: int, page: int) -> dict[str, Any]:
        match workload:
            case "W1":
                return {"id": str(number + 1)}
            case "W2":
                return {"first": page, "after": cursor("ClientRow", number)}
            case "W3":
                return {"first": page, "after": cursor("InvoiceRow", number)}
            case "W4":
                given = new_client(number)
            case _:
                given = new_invoice(number, self._clients)
        return {"input": {_CAMEL.get(name, name): value for name, value in given.items()}}

    def _get(self, path: str) -> bytes:
        return f"GET {path} HTTP/1.1\r\n{self._head()}\r\n".encode()

    def _post(self, path: str, content: Any) -> bytes:
        body = json.dumps(content, ensure_ascii=False).encode()
        kind = "Content-Type: application/json\r\n"
        return f"POST {path} HTTP/1.1\r\n{self._head()}{kind}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def _head(self) -> str:
        return f"Host: bench.example\r\nAuthorization: Bearer {self._key}\r\nAccept: application/json\r\n"


def status_of(workload: str, door: Door) -> int:
    return 201 if door == "rest" and workload in ("W4", "W5") else 200
