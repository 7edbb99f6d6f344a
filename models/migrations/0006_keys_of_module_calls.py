"""The keys of module calls, which no other database has, and when their modules were first told."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops

INDEXES = {
    "idx_module_call_service_808a5f": "module_calls (service_id, id)",
    "idx_module_call_client__3ac680": "module_calls (client_id, id)",
    "idx_module_call_server__8685d6": "module_calls (server_id, id)",
    "idx_module_call_status_cb52fd": "module_calls (status, id)",
    "idx_module_call_due_at_b074af": "module_calls (due_at, id)",
    "idx_module_call_created_f7343f": "module_calls (created_at, id)",
}
"""To remove a column, Tortoise rebuilds an SQLite table, and forgets its indexes."""


class Migration(migrations.Migration):
    dependencies = [("models", "0005_installation")]
    initial = False

    operations = [
        # First here, so last on the way back.
        *(
            ops.RunSQL("SELECT 1", f"CREATE INDEX IF NOT EXISTS {name} ON {columns}")
            for name, columns in INDEXES.items()
        ),
        ops.AddField(model_name="ModuleCall", name="key_part", field=fields.CharField(null=True, max_length=40)),
        ops.AddField(
            model_name="ModuleCall",
            name="told_at",
            field=fields.DatetimeField(null=True, auto_now=False, auto_now_add=False),
        ),
        ops.RunSQL("UPDATE module_calls SET told_at = updated_at WHERE attempts > 0", "SELECT 1"),
    ]
