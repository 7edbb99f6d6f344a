"""Calls to modules, the options that products hand to them, and the credentials of servers."""

from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops

INDEXES = {
    "idx_products_created_6cf3a9": "products (created_at, id)",
    "idx_products_status_89e72d": "products (status, id)",
    "idx_products_server__64c26e": "products (server_group_id)",
    "idx_servers_server__f99add": "servers (server_group_id, id)",
    "idx_servers_created_cac738": "servers (created_at, id)",
    "idx_servers_status_b30e75": "servers (status, id)",
}
"""To remove a column, Tortoise rebuilds an SQLite table, and forgets its indexes."""


class Migration(migrations.Migration):
    dependencies = [("models", "0003_one_charge_for_a_period")]

    initial = False

    operations = [
        # First here, so last on the way back.
        *(
            ops.RunSQL("SELECT 1", f"CREATE INDEX IF NOT EXISTS {name} ON {columns}")
            for name, columns in INDEXES.items()
        ),
        ops.CreateModel(
            name="ModuleCall",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                (
                    "service",
                    fields.ForeignKeyField(
                        "models.Service",
                        source_field="service_id",
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("client_id", fields.BigIntField()),
                (
                    "server",
                    fields.ForeignKeyField(
                        "models.Server",
                        source_field="server_id",
                        null=True,
                        db_constraint=True,
                        to_field="id",
                        related_name=False,
                        on_delete=OnDelete.RESTRICT,
                    ),
                ),
                ("module", fields.CharField(max_length=40)),
                ("action", fields.CharField(max_length=20)),
                ("status", fields.CharField(max_length=20)),
                ("attempts", fields.BigIntField()),
                ("most_attempts", fields.BigIntField()),
                ("due_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("last_error", fields.CharField(null=True, max_length=1000)),
                ("version", fields.BigIntField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("updated_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("finished_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "module_calls",
                "app": "models",
                "indexes": [
                    Index(fields=["service_id", "id"]),
                    Index(fields=["client_id", "id"]),
                    Index(fields=["server_id", "id"]),
                    Index(fields=["status", "id"]),
                    Index(fields=["due_at", "id"]),
                    Index(fields=["created_at", "id"]),
                ],
                "pk_attr": "id",
                "table_description": "Changed under the lock of its service's row alone.",
            },
            bases=["Model"],
        ),
        ops.AddField(
            model_name="Product",
            name="module_options",
            field=fields.TextField(null=True, unique=False),
        ),
        ops.AddField(
            model_name="Server",
            name="credentials",
            field=fields.BinaryField(null=True),
        ),
    ]
