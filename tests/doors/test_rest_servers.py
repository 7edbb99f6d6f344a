"""Servers over REST: what hosts services, and never its credentials."""

import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio


async def test_a_server_shows_its_capacity_and_how_much_is_taken(house: House) -> None:
    id = await house.a_server(name="web1", hostname="web1.example.com", module="manual", maxAccounts=50)
    assert (await house.rest("GET", f"/servers/{id}")).json()["data"] == {
        "id": id,
        "name": "web1",
        "hostname": "web1.example.com",
        "module": "manual",
        "status": "active",
        "max_accounts": 50,
        "accounts": 0,
    }
