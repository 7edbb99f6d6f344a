"""Clients, through both doors."""

import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio


async def test_a_client_is_created_over_rest_and_read_over_graphql(house: House) -> None:
    answer = await house.rest(
        "POST",
        "/clients",
        {"first_name": "Ada", "last_name": "Lovelace", "email": "Ada@Shop.test", "password": "12345678"},
    )
    assert answer.status_code == 201
    assert answer.headers["location"] == "/api/v1/clients/1"
    data = await house.data("{ client(id: 1) { id firstName email status } }")
    assert data["client"] == {"id": "cli_1", "firstName": "Ada", "email": "Ada@Shop.test", "status": "ACTIVE"}
    assert await house.events() == ["client.created"]
