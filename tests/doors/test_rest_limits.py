"""Rate limits at the REST door: who pays, how much, and what the headers say."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.conftest import House, open_house
from tests.databases import EmptyDatabase

pytestmark = pytest.mark.anyio

LIMITS = {"rate_limit_authenticated": "60/minute", "rate_limit_anonymous": "10/minute"}


@pytest.fixture
async def limited(tmp_path: Path, empty_database: EmptyDatabase) -> AsyncIterator[House]:
    """A house with the limits of the reference."""
    async with open_house(tmp_path, empty_database, **LIMITS) as house:
        yield house


async def statuses(house: House, number: int, key: str | None = None, path: str = "/clients", **more: Any) -> list[int]:
    async with house.http(key, **more) as http:
        return [(await http.get(f"/api/v1{path}")).status_code for _ in range(number)]


async def test_the_sixty_first_request_of_a_key_is_refused(limited: House) -> None:
    assert await statuses(limited, 61) == [200] * 60 + [429]
    answer = await limited.rest("GET", "/clients")
    assert answer.json()["error"]["code"] == "RATE_LIMITED"
    assert (answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == ("60", "0")
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert (await limited.rest("GET", "/clients", key=await limited.new_key())).status_code == 200


async def test_the_eleventh_anonymous_request_is_refused(limited: House) -> None:
    assert await statuses(limited, 11, "") == [401] * 10 + [429]
    assert await statuses(limited, 1, "", ip="127.0.0.2") == [401]


async def test_a_wrong_key_pays_the_budget_of_its_address(limited: House) -> None:
    assert await statuses(limited, 5, "nonsense") == [401] * 5
    assert await statuses(limited, 5, "") == [401] * 5
    assert await statuses(limited, 1, "other nonsense") == [429]


async def test_a_valid_key_never_pays_the_budget_of_its_address(limited: House) -> None:
    assert await statuses(limited, 11, "") == [401] * 10 + [429]
    assert await statuses(limited, 30) == [200] * 30
    assert await statuses(limited, 10, "", ip="127.0.0.3") == [401] * 10
    assert await statuses(limited, 10, ip="127.0.0.3") == [200] * 10


async def test_every_answer_has_the_headers_errors_too(limited: House) -> None:
    requests: list[tuple[str, str, Any, int]] = [
        ("GET", "/clients", None, 200),
        ("HEAD", "/clients", None, 200),
        ("OPTIONS", "/clients", None, 204),
        ("POST", "/clients", {}, 400),
        ("GET", "/nowhere", None, 404),
        ("PATCH", "/clients", None, 405),
        ("GET", "/clients/999", None, 404),
    ]
    for place, (method, path, body, status) in enumerate(requests):
        answer = await limited.rest(method, path, body)
        assert answer.status_code == status
        assert answer.headers["x-ratelimit-limit"] == "60"
        assert answer.headers["x-ratelimit-remaining"] == str(59 - place)
        assert "retry-after" not in answer.headers
    answer = await limited.rest("POST", "/clients", key="", content=b" " * (1024 * 1024 + 1))
    assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (413, "10")
    answer = await limited.rest("GET", "/clients", key="")
    assert (answer.status_code, answer.headers["x-ratelimit-remaining"]) == (401, "8")


async def test_size_is_checked_before_the_limit_and_the_limit_before_the_key(limited: House) -> None:
    await statuses(limited, 10, "")
    answer = await limited.rest("POST", "/clients", key="", content=b" " * (1024 * 1024 + 1))
    assert answer.status_code == 413
    assert (await limited.rest("GET", "/nowhere", key="")).status_code == 429
    await statuses(limited, 60)
    for method, path in (("GET", "/nowhere"), ("PATCH", "/clients"), ("POST", "/clients")):
        assert (await limited.rest(method, path)).status_code == 429


async def test_a_refused_request_changes_nothing(limited: House) -> None:
    await statuses(limited, 60)
    body = {"first_name": "Ada", "last_name": "L", "email": "ada@shop.test", "password": "12345678"}
    assert (await limited.rest("POST", "/clients", body)).status_code == 429
    assert await limited.events() == []


async def test_sixty_a_minute_is_exact_under_two_hundred_requests_at_once(limited: House) -> None:
    found: list[int] = []
    async with limited.http() as http:

        async def get() -> None:
            found.append((await http.get("/api/v1/departments/1")).status_code)

        async with anyio.create_task_group() as group:
            for _ in range(200):
                group.start_soon(get)
    assert (found.count(200), found.count(429)) == (60, 140)


async def test_documents_health_and_preflights_are_not_limited(limited: House) -> None:
    preflight = {"origin": "https://shop.test", "access-control-request-method": "POST"}
    async with limited.http("") as http:
        for _ in range(15):
            assert (await http.get("/api/v1/openapi.json")).status_code == 200
            assert (await http.get("/livez")).status_code == 200
            answer = await http.options("/api/v1/clients", headers=preflight)
            assert answer.status_code == 204
            assert "x-ratelimit-limit" not in answer.headers
        answer = await http.get("/api/v1/clients")
        assert (answer.status_code, answer.headers["x-ratelimit-remaining"]) == (401, "9")


async def test_addresses_of_one_ipv6_network_share_a_budget(limited: House) -> None:
    assert await statuses(limited, 10, "", ip="2001:db8::1") == [401] * 10
    assert await statuses(limited, 1, "", ip="2001:db8::ffff") == [429]
    assert await statuses(limited, 1, "", ip="2001:db8:0:1::1") == [401]


async def test_a_forwarded_address_is_not_believed_without_a_trusted_proxy(limited: House) -> None:
    async with limited.http("") as http:
        answers = [
            await http.get("/api/v1/clients", headers={"x-forwarded-for": f"10.0.0.{place}"}) for place in range(11)
        ]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]


async def test_limits_can_be_changed_and_turned_off(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    changed = {"rate_limit_authenticated": "3/minute", "rate_limit_anonymous": "off"}
    async with open_house(tmp_path, empty_database, **changed) as house:
        assert await statuses(house, 4) == [200] * 3 + [429]
        assert await statuses(house, 30, "") == [401] * 30
        assert "x-ratelimit-limit" not in (await house.rest("GET", "/clients", key="")).headers
