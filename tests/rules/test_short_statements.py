"""Which writes SQLite runs in the event loop's thread: those that name their rows."""

import pytest

from resolvers.engines.sqlite_writer import names_its_rows


@pytest.mark.parametrize(
    ("sql", "short"),
    [
        ("INSERT INTO clients (name) VALUES (?), (?) RETURNING id", True),
        ("UPDATE clients SET city = ? WHERE id = ? AND version = ? RETURNING id", True),
        ("UPDATE number_series SET last_number = last_number + 1 WHERE name = ? RETURNING template", True),
        ("UPDATE clients SET city = ? WHERE client_id = ?", False),
        ("UPDATE deliveries SET lease = NULL WHERE id IN (?, ?)", False),
        ("INSERT INTO deliveries (id) SELECT id FROM events", False),
        ("DELETE FROM events WHERE id = ?", False),
        ("WITH some AS (SELECT 1) SELECT * FROM some", False),
    ],
)
def test_what_names_its_rows_is_short(sql: str, short: bool) -> None:
    assert names_its_rows(sql) is short
