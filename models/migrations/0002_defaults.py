"""What every database starts with: a department, the series of invoice numbers, and the head of the event log."""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL

NOW = "'2026-01-01 00:00:00.000000+00:00'"


class Migration(migrations.Migration):
    dependencies = [("models", "0001_initial")]
    initial = False

    operations = [
        RunSQL(
            f"INSERT INTO departments (name, version, created_at, updated_at) VALUES ('Support', 1, {NOW}, {NOW})",
            "DELETE FROM departments",
        ),
        RunSQL(
            "INSERT INTO number_series (name, template, last_number) VALUES ('invoice', 'INV-{YYYY}-{n:05}', 0)",
            "DELETE FROM number_series",
        ),
        RunSQL("INSERT INTO event_head (id, last_sequence) VALUES (1, 0)", "DELETE FROM event_head"),
    ]
