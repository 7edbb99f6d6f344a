"""Random documents come to the same, compiled or not; `./run fuzz` compares as many as one likes."""

from pathlib import Path

import pytest

from tests.conftest import open_house
from tests.databases import EmptyDatabase, on_sqlite
from tests.doors.estate import Estate
from tests.executor.comparing import Tally
from tests.executor.estate_documents import through_the_estate
from tests.executor.fuzz import through_trouble

pytestmark = [
    pytest.mark.anyio,
    # graphql-core leaves some of the coroutines that it cancels unawaited.
    pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


def same(tally: Tally) -> None:
    assert not tally.differences, tally.differences[0]
    assert tally.compiled == tally.documents
    assert tally.failed // 2 < tally.documents - tally.failed, f"too much goes wrong to say much: {tally}"


async def test_documents_of_a_schema_full_of_trouble_come_to_the_same() -> None:
    same(await through_trouble(250, seed=3))


@on_sqlite
async def test_documents_of_our_schema_come_to_the_same(tmp_path: Path, empty_database: EmptyDatabase) -> None:
    # What changes by itself between two executions would be a difference.
    async with open_house(tmp_path, empty_database, deliver="off") as house:
        await Estate(house).furnish()
        tally = await through_the_estate(house, 150, seed=3)
    same(tally)
    assert not tally.needless, "nothing of ours that is well may be left to graphql-core"
