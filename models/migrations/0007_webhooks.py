"""Webhook endpoints, their deliveries, and the attempts at those."""

from tortoise import fields, migrations
from tortoise.indexes import Index, PartialIndex
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0006_keys_of_module_calls")]

    initial = False

    operations = [
        ops.CreateModel(
            name="Delivery",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("webhook_id", fields.BigIntField()),
                ("message_id", fields.CharField(max_length=40)),
                ("event", fields.CharField(max_length=60)),
                ("event_id", fields.BigIntField(null=True)),
                ("payload", fields.TextField(null=True, unique=False)),
                ("object_type", fields.CharField(max_length=40)),
                ("object_id", fields.BigIntField()),
                ("sequence", fields.BigIntField()),
                ("client_id", fields.BigIntField(null=True)),
                ("status", fields.CharField(max_length=20)),
                ("trigger", fields.CharField(max_length=20)),
                ("attempts", fields.BigIntField()),
                ("due_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("lease", fields.CharField(null=True, max_length=40)),
                ("response_status", fields.BigIntField(null=True)),
                ("queued_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("finished_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "deliveries",
                "app": "models",
                "unique_together": (("webhook_id", "message_id"),),
                "indexes": [
                    Index(fields=["webhook_id", "due_at", "id"]),
                    PartialIndex(
                        fields=["webhook_id", "object_type", "object_id", "sequence"], condition={"status": "pending"}
                    ),
                    PartialIndex(fields=["webhook_id", "due_at"], condition={"trigger": "manual"}),
                    Index(fields=["webhook_id", "status", "id"]),
                    Index(fields=["webhook_id", "id"]),
                    Index(fields=["client_id", "id"]),
                ],
                "pk_attr": "id",
                "table_description": "One event for one endpoint.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="DeliveryAttempt",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("delivery_id", fields.BigIntField()),
                ("trigger", fields.CharField(max_length=20)),
                ("started_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("milliseconds", fields.BigIntField()),
                ("response_status", fields.BigIntField(null=True)),
                ("error", fields.CharField(null=True, max_length=255)),
                ("address", fields.CharField(null=True, max_length=60)),
                ("answer", fields.TextField(null=True, unique=False)),
            ],
            options={
                "table": "delivery_attempts",
                "app": "models",
                "indexes": [Index(fields=["delivery_id", "id"]), Index(fields=["started_at", "id"])],
                "pk_attr": "id",
                "table_description": "One request to an endpoint, written once it has ended, with what came of it.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="Webhook",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("url", fields.CharField(max_length=2048)),
                ("events", fields.TextField(unique=False)),
                ("description", fields.CharField(null=True, max_length=1000)),
                ("status", fields.CharField(max_length=20)),
                ("disabled_reason", fields.CharField(null=True, max_length=20)),
                ("secret", fields.BinaryField()),
                ("previous_secret", fields.BinaryField(null=True)),
                ("previous_until", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("active_from", fields.BigIntField()),
                ("deleted_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("version", fields.BigIntField()),
                ("created_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
                ("updated_at", fields.DatetimeField(auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "webhooks",
                "app": "models",
                "indexes": [Index(fields=["created_at", "id"]), Index(fields=["status", "id"])],
                "pk_attr": "id",
                "table_description": "An endpoint, as staff have set it up. How it is doing stands in its circuit.",
            },
            bases=["Model"],
        ),
        ops.CreateModel(
            name="WebhookCircuit",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("webhook_id", fields.BigIntField(unique=True)),
                ("state", fields.CharField(max_length=20)),
                ("failures", fields.BigIntField()),
                ("failing_since", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("next_probe_at", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
                ("draining_since", fields.DatetimeField(null=True, auto_now=False, auto_now_add=False)),
            ],
            options={
                "table": "webhook_circuits",
                "app": "models",
                "pk_attr": "id",
                "table_description": "How an endpoint is doing: one row for each, which the dispatcher writes.",
            },
            bases=["Model"],
        ),
    ]
