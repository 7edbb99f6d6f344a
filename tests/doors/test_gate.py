"""The gate before both doors."""

import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/api/v1/clients", "/graphql"])
async def test_headers_of_more_than_32_kilobytes_are_refused_with_431(house: House, path: str) -> None:
    async with house.http() as http:
        answer = await http.get(path, headers={"x-much": "a" * 33_000})
    assert answer.status_code == 431
    error = answer.json()["error"] if "api" in path else answer.json()["errors"][0]["extensions"]
    assert error["code"] == "VALIDATION_ERROR"
    assert answer.headers["x-request-id"]
