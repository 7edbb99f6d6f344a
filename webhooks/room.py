"""Room: how many attempts a process makes at once, so that endpoints that hang leave enough for the others."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from models.enums import Circuit
from models.webhooks import WebhookCircuitRow
from resolvers.dispatch import Candidate, Share

AT_ONCE = 64
AT_ONCE_PER_ENDPOINT = 4
"""For an endpoint that has answered the last time; any other has one at a time."""
AT_ONCE_BESIDES = 256
"""An endpoint that has nothing under way may always have one, up to so many in all: others that hang are no reason why
it should wait."""


class Room:
    """What a process is at, by delivery, and which endpoints have answered it."""

    def __init__(self) -> None:
        self._endpoint_of: dict[int, int] = {}
        self._answering: set[int] = set()

    def begun(self, delivery_id: int, webhook_id: int) -> None:
        self._endpoint_of[delivery_id] = webhook_id

    def ended(self, delivery_id: int, *, answered: bool) -> None:
        webhook_id = self._endpoint_of.pop(delivery_id)
        if answered:
            self._answering.add(webhook_id)
        else:
            self._answering.discard(webhook_id)

    def shares(self, ready: Iterable[WebhookCircuitRow]) -> list[Share]:
        """What endpoints that something is due for may have; while one is down, only what staff have asked for."""
        under_way = Counter(self._endpoint_of.values())
        shares = []
        for row in ready:
            most = AT_ONCE_PER_ENDPOINT if row.webhook_id in self._answering else 1
            if (left := most - under_way[row.webhook_id]) > 0:
                shares.append(
                    Share(
                        row.webhook_id,
                        left,
                        in_order=row.state is not Circuit.CLOSED,
                        manual=row.state is Circuit.OPEN,
                    )
                )
        return shares

    def has_probe(self, row: WebhookCircuitRow, now: datetime) -> bool:
        """Whether an endpoint that is down is to be tried, and there is room for that."""
        return (
            row.state is Circuit.OPEN
            and row.next_probe_at is not None
            and row.next_probe_at <= now
            and row.webhook_id not in self._endpoint_of.values()
            and len(self._endpoint_of) < AT_ONCE_BESIDES
        )

    def admitted(self, chosen: Sequence[Candidate]) -> list[Candidate]:
        """Those that there is room for: each endpoint in its turn, the longest due first."""
        under_way = Counter(self._endpoint_of.values())
        number = len(self._endpoint_of)
        ranked = []
        for one in chosen:
            if one.id not in self._endpoint_of:  # here its lease has run out, and it is not done yet
                ranked.append((under_way[one.webhook_id], one.due_at, one))
                under_way[one.webhook_id] += 1
        admitted = []
        for rank, _, one in sorted(ranked, key=lambda each: each[:2]):
            if number < AT_ONCE or (rank == 0 and number < AT_ONCE_BESIDES):
                admitted.append(one)
                number += 1
        return admitted
