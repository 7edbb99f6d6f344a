"""What a client may be changed to, when it may be erased, and what is left then."""

from datetime import UTC, datetime
from typing import Any

import pytest
import strawberry
from hypothesis import given
from hypothesis import strategies as st

from models.clients import ClientRow
from models.enums import ClientStatus
from resolvers import clients
from schema.clients import ClientUpdateInput, changed, check_deletable, email_key, erased, keyed, search_key
from schema.errors import Code, DomainError

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
texts = st.text(min_size=1, max_size=40)


def a_client(**given: Any) -> ClientRow:
    values: dict[str, Any] = dict.fromkeys(ClientRow._fields) | {
        "id": 56,
        "first_name": "Ada",
        "last_name": "Lovelace",
        "email": "Ada@Shop.test",
        "company": "Engines Ltd",
        "phone": "+44 20 7946 0000",
        "address": "12 St James's Square",
        "city": "London",
        "country": "GB",
        "status": ClientStatus.ACTIVE,
        "currency": "USD",
        "password_hash": "$argon2id$old",
        "version": 1,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return keyed(ClientRow(**(values | given)))


def wanted(**members: Any) -> ClientUpdateInput:
    absent = dict.fromkeys(ClientUpdateInput.__dataclass_fields__, strawberry.UNSET)
    return ClientUpdateInput(**(absent | members))


def test_an_update_changes_what_is_given_and_leaves_the_rest() -> None:
    row = changed(a_client(), wanted(city="Bath", company=None), None)
    assert row == a_client(city="Bath", company=None)


def test_an_update_without_members_changes_nothing() -> None:
    assert changed(a_client(), wanted(), None) == a_client()


def test_a_client_can_be_sent_back_as_it_was_read() -> None:
    row = a_client()
    names = ("id", "first_name", "last_name", "email", "company", "phone", "address", "city", "country", "status")
    read = {name: getattr(row, name) for name in (*names, "currency", "created_at", "updated_at")}
    assert changed(row, wanted(**read), None) == row


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("id", 57, "The id field cannot be changed."),
        ("status", ClientStatus.CLOSED, "The status field cannot be changed."),
        ("status", None, "The status field cannot be changed."),
        ("currency", "EUR", "The currency field cannot be changed."),
    ],
)
def test_a_member_that_cannot_be_changed_is_refused_by_name(name: str, value: object, sentence: str) -> None:
    with pytest.raises(DomainError) as refused:
        changed(a_client(), wanted(**{name: value}), None)
    assert (refused.value.code, refused.value.fields) == (Code.VALIDATION_ERROR, {name: sentence})


def test_every_member_that_cannot_be_changed_is_named_at_once() -> None:
    with pytest.raises(DomainError) as refused:
        changed(a_client(), wanted(id=1, currency="EUR"), None)
    assert set(refused.value.fields) == {"id", "currency"}


def test_times_are_accepted_and_ignored() -> None:
    late = datetime(2030, 1, 1, tzinfo=UTC)
    assert changed(a_client(), wanted(created_at=late, updated_at=late), None) == a_client()


def test_a_new_password_is_stored_as_its_hash() -> None:
    assert changed(a_client(), wanted(), "$argon2id$new").password_hash == "$argon2id$new"


@given(texts, texts, texts)
def test_what_is_searched_follows_what_is_changed(first: str, last: str, company: str) -> None:
    row = changed(a_client(), wanted(first_name=first, last_name=last, company=company), None)
    assert row.search_key == search_key(row)
    assert row.email_key == email_key(row.email or "")
    assert f"\n{last.casefold()}" in row.search_key


@pytest.mark.parametrize("other", ["ada@shop.test", "ADA@SHOP.TEST", "aDa@sHoP.tEsT"])
def test_addresses_that_differ_in_case_are_the_same(other: str) -> None:
    assert email_key("Ada@Shop.test") == email_key(other)


@pytest.mark.parametrize(
    ("services", "invoices", "sentence"),
    [
        (1, 0, "The client cannot be deleted: 1 service pending, active or suspended and 0 invoices unpaid or draft."),
        (0, 2, "The client cannot be deleted: 0 services pending, active or suspended and 2 invoices unpaid or draft."),
        (3, 1, "The client cannot be deleted: 3 services pending, active or suspended and 1 invoice unpaid or draft."),
    ],
)
def test_a_client_with_open_business_cannot_be_deleted(services: int, invoices: int, sentence: str) -> None:
    with pytest.raises(DomainError) as refused:
        check_deletable(services, invoices)
    assert refused.value.message == sentence


def test_a_client_without_open_business_can_be_deleted() -> None:
    check_deletable(0, 0)


@given(st.dictionaries(st.sampled_from(["first_name", "last_name", "email", "company", "phone", "city"]), texts))
def test_nothing_personal_is_left_of_an_erased_client(given: dict[str, str]) -> None:
    row = a_client(**{name: f"«{value}»" for name, value in given.items()})
    gone = erased(row, NOON)
    assert gone.deleted_at == NOON
    assert gone.status is ClientStatus.CLOSED
    assert (gone.id, gone.currency, gone.created_at) == (row.id, row.currency, row.created_at)
    for name in clients.PERSONAL:
        assert not getattr(gone, name), name
    assert not any("«" in str(value) for value in gone)
    assert gone.password_hash in (None, "")
