"""Events in partitions, as docs/production.md makes them by hand: nothing of the application minds."""

import re
from pathlib import Path

import asyncpg
import pytest

from tests.conftest import open_house
from tests.databases import EmptyDatabase, on_postgres
from tests.reliability.soundness import check_sound

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).parents[2] / "docs" / "production.md").read_text()


@on_postgres
async def test_events_in_partitions_are_written_numbered_and_read_as_before(
    tmp_path: Path, empty_database: EmptyDatabase
) -> None:
    async with open_house(tmp_path, empty_database) as house:
        await house.an_invoice()
        url = house.settings.database_url
    (statements,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    connection = await asyncpg.connect(url)
    await connection.execute(statements)
    await connection.close()
    async with open_house(tmp_path, empty_database) as house:
        invoice = await house.an_invoice()
        await house.made(f"/invoices/{invoice['id']}/pay")
        client = await house.a_client()
        assert (await house.rest("DELETE", f"/clients/{client['id']}")).status_code == 200
        told = ["client.created", "invoice.created"]
        assert await house.events() == [*told, *told, "invoice.paid", "client.created", "client.deleted"]
    async with open_house(tmp_path, empty_database) as house:  # by now everything has its number
        await check_sound(house.engine.database)
        assert await house.rows("SELECT count(*), max(sequence) FROM events") == [(7, 7)]
