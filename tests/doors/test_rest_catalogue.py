"""What products, servers and departments have in common over REST: they are only read there."""

import pytest

from tests.conftest import House

pytestmark = pytest.mark.anyio


async def test_lists_are_filtered_by_status(house: House) -> None:
    active, retired = await house.a_product(), await house.a_product(status="RETIRED")
    up, down = await house.a_server(), await house.a_server(name="web2", status="DISABLED")
    for path, ids in (
        ("/products?status=active", [active]),
        ("/products?status=retired", [retired]),
        ("/products?sort=-id", [retired, active]),
        ("/servers?status=active", [up]),
        ("/servers?status=disabled", [down]),
        ("/departments", [1]),
    ):
        assert [one["id"] for one in (await house.rest("GET", path)).json()["data"]] == ids, path
    assert (await house.rest("GET", "/departments?status=active")).status_code == 400


@pytest.mark.parametrize("noun", ["products", "servers", "departments"])
async def test_the_catalogue_is_only_read_here(house: House, noun: str) -> None:
    for method, path in (("POST", f"/{noun}"), ("PUT", f"/{noun}/1"), ("DELETE", f"/{noun}/1")):
        answer = await house.rest(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    answer = await house.rest("GET", f"/{noun}/999")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


async def test_a_key_of_a_client_reads_products_and_neither_servers_nor_departments(house: House) -> None:
    await house.a_product()
    key = await house.new_key(client=(await house.a_client())["id"])
    assert len((await house.rest("GET", "/products", key=key)).json()["data"]) == 1
    for noun in ("servers", "departments"):
        answer = await house.rest("GET", f"/{noun}", key=key)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN")
