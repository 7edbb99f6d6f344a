"""The installation, with which a process compares its secret."""

from tortoise import fields, migrations
from tortoise.migrations import operations as ops


class Migration(migrations.Migration):
    dependencies = [("models", "0004_module_calls")]
    initial = False

    operations = [
        ops.CreateModel(
            name="Installation",
            fields=[
                ("id", fields.BigIntField(generated=True, primary_key=True, unique=True, db_index=True)),
                ("secret_check", fields.CharField(max_length=64)),
            ],
            options={
                "table": "installation",
                "app": "models",
                "pk_attr": "id",
                "table_description": "One row, made by the first process that opens the database.",
            },
            bases=["Model"],
        ),
    ]
