"""P1's commands: each a transaction with its rows, its event and its audit entries."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bench.yardsticks.contract import added, event_id, minor, payload, search_key
from bench.yardsticks.p1.forms import ClientIn, ClientOut, InvoiceHead, InvoiceIn, InvoiceOut
from bench.yardsticks.p1.tables import AuditEntry, Client, Event, Invoice, InvoiceItem, NumberSeries
from bench.yardsticks.passwords import hash_password


async def create_client(session: AsyncSession, given: ClientIn, actor: str, request_id: str) -> ClientOut:
    password_hash = await hash_password(given.password)
    now = datetime.now(UTC)
    row = Client(
        **given.model_dump(exclude={"password"}),
        email_key=given.email.casefold(),
        password_hash=password_hash,
        status="active",
        search_key=search_key(given.first_name, given.last_name, given.email, given.company),
        version=1,
        created_at=now,
        updated_at=now,
        deleted_at=None,
    )
    async with session.begin():
        session.add(row)
        await session.flush()
        shown = ClientOut.model_validate(row)
        session.add(_event("client.created", "Client", row.id, shown, now, actor, request_id))
        session.add(_audit("clientCreate", row, now, actor, request_id))
    return shown


async def create_invoice(session: AsyncSession, given: InvoiceIn, actor: str, request_id: str) -> InvoiceOut:
    """Raises ValueError with the sentence of a refusal."""
    async with session.begin():
        which = Client.id == given.client_id, Client.deleted_at.is_(None)
        client = await session.scalar(select(Client).where(*which).with_for_update())
        if client is None:
            raise ValueError(f"The client id field names no client: {given.client_id}.")
        amounts = [minor(item.amount, client.currency) for item in given.items]
        if (total := sum(amounts)) <= 0:
            raise ValueError("The items field must not have a negative total.")
        series = await session.scalar(select(NumberSeries).where(NumberSeries.name == "invoice").with_for_update())
        assert series is not None
        series.last_number += 1
        now = datetime.now(UTC)
        items = [
            InvoiceItem(
                client_id=client.id,
                kind="manual",
                description=item.description,
                amount=amount,
                currency=client.currency,
                void=False,
            )
            for item, amount in zip(given.items, amounts, strict=True)
        ]
        row = Invoice(
            number=series.template.format(YYYY=now.year, n=series.last_number),
            client_id=client.id,
            status="unpaid",
            due_date=given.due_date,
            subtotal=total,
            tax=0,
            total=total,
            balance=total,
            currency=client.currency,
            paid_at=None,
            version=1,
            created_at=now,
            updated_at=now,
            items=items,
        )
        session.add(row)
        await session.flush()
        head = InvoiceHead.model_validate(row)
        session.add(_event("invoice.created", "Invoice", client.id, head, now, actor, request_id))
        session.add_all(_audit("invoiceCreate", one, now, actor, request_id) for one in (row, *items))
    return InvoiceOut.model_validate(row)


def _event(name: str, kind: str, client_id: int, shown: BaseModel, now: datetime, actor: str, request_id: str) -> Event:
    data = shown.model_dump(mode="json")
    return Event(
        public_id=event_id(now),
        event=name,
        object_type=kind,
        object_id=data["id"],
        object_version=1,
        client_id=client_id,
        payload=payload(name, data, now),
        actor=actor,
        request_id=request_id,
        created_at=now,
    )


def _audit(action: str, row: Any, now: datetime, actor: str, request_id: str) -> AuditEntry:
    columns = {column.key: getattr(row, column.key) for column in row.__mapper__.column_attrs if column.key != "id"}
    return AuditEntry(
        created_at=now,
        actor=actor,
        request_id=request_id,
        action=action,
        object_type=row.__tablename__,
        object_id=row.id,
        changes=added(columns),
    )
