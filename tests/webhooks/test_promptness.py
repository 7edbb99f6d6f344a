"""What staff ask for is done at once, not at the dispatcher's next look."""

from typing import Any

import pytest

from arcbilling.loops import Loop
from tests.conftest import House
from tests.reliability.receiver import receiving
from tests.webhooks.arranged import a_webhook, until_settled

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def rare_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loops look by themselves so rarely that only what wakes them has them work."""
    made = Loop.__init__

    def seldom(self: Loop, name: str, work: Any, *, every: float, **given: Any) -> None:
        made(self, name, work, every=3600.0 if name in ("dispatcher", "feed") else every, **given)

    monkeypatch.setattr(Loop, "__init__", seldom)


async def test_a_test_is_sent_at_once_and_a_redelivery_too(house: House) -> None:
    async with receiving() as receiver:
        webhook = await a_webhook(house, receiver)
        test = await house.made(f"/webhooks/{webhook['id']}/test")
        await receiver.until(lambda: len(receiver.received) == 1, seconds=5)
        await until_settled(house)
        await house.made(f"/deliveries/{test['id']}/redeliver")
        await receiver.until(lambda: len(receiver.received) == 2, seconds=5)


async def test_what_is_queued_again_is_sent_at_once(house: House) -> None:
    async with receiving() as receiver:
        webhook = await a_webhook(house, receiver)
        await house.a_client()
        await receiver.until_accepted(1)
        await until_settled(house)
        await house.write("UPDATE deliveries SET status = 'failed'")
        await house.made(f"/webhooks/{webhook['id']}/recover", {"since": "2020-01-01"})
        await receiver.until(lambda: len(receiver.received) == 2, seconds=5)
