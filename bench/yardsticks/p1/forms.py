"""What P1 takes and answers, as pydantic models."""

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    PlainSerializer,
    StringConstraints,
    model_validator,
)

from bench.yardsticks.contract import money, shown

T = TypeVar("T")

Moment = Annotated[datetime, PlainSerializer(shown, return_type=str)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]
LongText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
Country = Annotated[str, StringConstraints(pattern="^[A-Za-z]{2}$"), AfterValidator(str.upper)]


class Taken(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClientIn(Taken):
    first_name: Text
    last_name: Text
    email: EmailStr
    password: Annotated[str, Field(min_length=8, max_length=1024)]
    company: Text | None = None
    phone: Text | None = None
    address: LongText | None = None
    city: Text | None = None
    country: Country | None = None
    currency: Annotated[str, StringConstraints(pattern="^[A-Z]{3}$")] = "USD"


class ItemIn(Taken):
    description: LongText
    amount: Annotated[Decimal, Field(max_digits=20, decimal_places=3)]


class InvoiceIn(Taken):
    client_id: int
    due_date: date
    items: Annotated[list[ItemIn], Field(min_length=1, max_length=500)]


class Shown(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ClientOut(Shown):
    id: int
    first_name: str
    last_name: str
    email: str | None
    company: str | None
    phone: str | None
    address: str | None
    city: str | None
    country: str | None
    status: str
    currency: str
    created_at: Moment
    updated_at: Moment


class ItemOut(Shown):
    id: int
    description: str
    amount: str

    @model_validator(mode="before")
    @classmethod
    def read(cls, row: Any) -> Any:
        return {"id": row.id, "description": row.description, "amount": money(row.amount, row.currency)}


class InvoiceHead(Shown):
    """An invoice without its items, as events show it."""

    id: int
    number: str
    client_id: int
    status: str
    due_date: date
    subtotal: str
    tax: str
    total: str
    balance: str
    currency: str
    paid_at: Moment | None
    created_at: Moment
    updated_at: Moment

    @model_validator(mode="before")
    @classmethod
    def read(cls, row: Any) -> Any:
        amounts = {name: money(getattr(row, name), row.currency) for name in ("subtotal", "tax", "total", "balance")}
        plain = ("id", "number", "client_id", "status", "due_date", "currency", "paid_at", "created_at", "updated_at")
        return {**{name: getattr(row, name) for name in plain}, **amounts}


class InvoiceOut(Shown):
    id: int
    number: str
    client_id: int
    status: str
    due_date: date
    subtotal: str
    tax: str
    total: str
    balance: str
    currency: str
    items: list[ItemOut]
    paid_at: Moment | None
    created_at: Moment
    updated_at: Moment

    @model_validator(mode="before")
    @classmethod
    def read(cls, row: Any) -> Any:
        return {**InvoiceHead.read(row), "items": row.items}


class Answer(BaseModel, Generic[T]):
    status: Literal["success"] = "success"
    data: T


class Meta(BaseModel):
    per_page: int
    has_more: bool
    next_cursor: str | None


class ListAnswer(BaseModel, Generic[T]):
    status: Literal["success"] = "success"
    data: list[T]
    meta: Meta
