"""Scripts of migrations, taken apart into statements."""

import pytest

from resolvers.engines.migrating_sqlite import statements


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("", []),
        (" ; \n;", []),
        ("SELECT 1", ["SELECT 1"]),
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("INSERT INTO a VALUES ('x; y'); SELECT 2", ["INSERT INTO a VALUES ('x; y')", "SELECT 2"]),
        (
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT 2; END; SELECT 3",
            ["CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT 2; END", "SELECT 3"],
        ),
        ("CREATE TABLE a (b INT /* one; two */);", ["CREATE TABLE a (b INT /* one; two */)"]),
    ],
)
def test_a_script_is_its_statements(script: str, found: list[str]) -> None:
    assert statements(script) == found
