"""The installation: what a database remembers of the processes that use it."""

from typing import NamedTuple

from tortoise import fields
from tortoise.models import Model


class Installation(Model):
    """One row, made by the first process that opens the database."""

    id = fields.BigIntField(primary_key=True)
    secret_check = fields.CharField(max_length=64)
    """A fingerprint by the server's secret: processes with another secret could not read what is sealed."""

    class Meta:
        table = "installation"


class InstallationRow(NamedTuple):
    id: int
    secret_check: str
