"""A house that queues deliveries and makes none, and what tests do with its webhooks."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import NO_RECEIVER, House, open_house
from tests.databases import EmptyDatabase

CREATE = "mutation($input: WebhookCreateInput!) { webhookCreate(input: $input) { id url events status secret } }"
UPDATE = """mutation($id: ID!, $input: WebhookUpdateInput!) {
    webhookUpdate(id: $id, input: $input) { id url events description status disabledReason queued secret updatedAt }
}"""
RECOVER = "mutation($id: ID!, $since: String!) { webhookRecover(id: $id, since: $since) { id queued secret } }"


@pytest.fixture
async def house(tmp_path: Path, empty_database: EmptyDatabase) -> AsyncIterator[House]:
    """A house that queues deliveries and makes none."""
    async with open_house(tmp_path, empty_database, deliver="off") as opened:
        yield opened


async def created(house: House, **given: Any) -> Any:
    return (await house.data(CREATE, {"input": {"url": NO_RECEIVER} | given}))["webhookCreate"]


async def updated(house: House, id: str, /, **given: Any) -> Any:
    return (await house.data(UPDATE, {"id": id, "input": given}))["webhookUpdate"]


async def recovered(house: House, id: str, since: str) -> int:
    return int((await house.data(RECOVER, {"id": id, "since": since}))["webhookRecover"]["queued"])


async def refused(house: House, document: str, variables: dict[str, Any]) -> Any:
    (error,) = (await house.graphql(document, variables))["errors"]
    assert error["extensions"]["code"] == "VALIDATION_ERROR", error
    return error


async def numbered(house: House) -> None:
    """Waits until every event has its number, and so is queued."""
    while await house.rows("SELECT 1 FROM events WHERE sequence IS NULL"):
        await house.data("{ __typename }")


async def queue(house: House, columns: str = "event, status") -> list[tuple[Any, ...]]:
    await numbered(house)
    return await house.rows(f"SELECT {columns} FROM deliveries ORDER BY sequence, id")
