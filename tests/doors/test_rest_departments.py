"""Departments over REST: who answers tickets."""

import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio


async def test_a_new_database_holds_one_department(house: House) -> None:
    assert (await house.rest("GET", "/departments")).json()["data"] == [{"id": 1, "name": "Support"}]
    assert (await house.rest("GET", "/departments/1")).json()["data"] == {"id": 1, "name": "Support"}
