"""Typed ids: `inv_1234` is the invoice 1234, at every GraphQL field; REST shows the integer."""

from collections.abc import Callable
from enum import StrEnum

LARGEST = 2**63 - 1


class Kind(StrEnum):
    """The prefix of each type's ids."""

    CLIENT = "cli"
    SERVICE = "svc"
    INVOICE = "inv"
    ITEM = "item"
    PAYMENT = "pay"
    TICKET = "tic"
    MESSAGE = "msg"
    DEPARTMENT = "dep"
    PRODUCT = "pro"
    PRICE = "pri"
    SERVER = "srv"
    SERVER_GROUP = "grp"
    API_KEY = "key"
    MODULE_CALL = "mcl"
    WEBHOOK = "whk"
    DELIVERY = "dlv"


def write(kind: Kind, id: int) -> str:
    return f"{kind.value}_{id}"


def writer(kind: Kind) -> Callable[[int], str]:
    """Writes the ids of one type, of which there are many in a list."""
    prefix = f"{kind.value}_"
    return lambda number: f"{prefix}{number}"


def read(kind: Kind, text: str) -> int:
    """The integer of `inv_1234` or `1234`; raises ValueError with a reason."""
    prefix, mark, digits = text.rpartition("_")
    if mark and prefix != kind.value:
        if prefix in Kind.__members__.values():
            raise ValueError(f"must be an id such as {kind.value}_1234, and {text!r} is of another type")
        raise ValueError(f"must be an id such as {kind.value}_1234 or 1234")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19) or int(digits) > LARGEST:
        raise ValueError(f"must be an id such as {kind.value}_1234 or 1234")
    return int(digits)
