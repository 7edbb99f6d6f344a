"""A service is charged once for a period: the constraint of `InvoiceItem`.

Tortoise makes no constraint with a condition when it creates a table, and none at all on SQLite, so it is made here.
"""

from tortoise import migrations
from tortoise.migrations.operations import RunSQL


class Migration(migrations.Migration):
    dependencies = [("models", "0002_defaults")]
    initial = False

    operations = [
        RunSQL(
            "CREATE UNIQUE INDEX IF NOT EXISTS uid_invoice_items_service_period "
            "ON invoice_items (service_id, kind, period_start) WHERE NOT void",
            "DROP INDEX uid_invoice_items_service_period",
        )
    ]
