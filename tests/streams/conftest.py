"""A house that is served over real sockets."""

from collections.abc import AsyncIterator

import pytest

from tests.conftest import House
from tests.streams.listening import Server


@pytest.fixture
async def served(house: House) -> AsyncIterator[Server]:
    """The house at an address of its own."""
    async with Server(house) as server:
        yield server
