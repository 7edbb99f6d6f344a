"""The server's secret: every process that uses a database must have the one that it was first used with."""

import pytest

from tests.databases import at
from tests.reliability.served import Installation

pytestmark = pytest.mark.anyio


async def test_a_process_with_another_secret_is_refused_and_told_what_to_do(place: Installation) -> None:
    code, _, err = await place.command("keys", "create", "test")
    assert code == 0, err
    place.environment["ARCBILLING_SECRET_KEY"] = "another secret of this installation"
    for command in (("keys", "create", "test"), ("keys", "list"), ("serve", "--port", "0")):
        code, out, err = await place.command(*command)
        assert (code, out) == (1, "")
        (told,) = [line for line in err.splitlines() if "secret" in line]
        assert told == (
            "The secret is not the one that this database was first used with. Set ARCBILLING_SECRET_KEY to that one, "
            "or put its secret.key into the data folder."
        )
    place.environment["ARCBILLING_SECRET_KEY"] = (place.folder / "secret.key").read_text().strip()
    code, _, err = await place.command("keys", "list")
    assert code == 0, err


async def test_the_secret_itself_does_not_stand_in_the_database(place: Installation) -> None:
    place.environment["ARCBILLING_SECRET_KEY"] = "0123456789abcdef0123456789abcdef"
    code, _, err = await place.command("keys", "create", "test")
    assert code == 0, err
    async with at(place.location) as database:
        ((check,),) = await database.reader.fetch("SELECT secret_check FROM installation")
    assert "0123456789abcdef" not in check
