"""Which server takes the next service."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.enums import ServerFill, ServerStatus
from models.servers import ServerRow
from schema.errors import Code, DomainError
from schema.servers import choose
from tests.rows import a_server

servers = st.builds(
    lambda number, accounts, most, status: a_server(number, accounts, most, status=status),
    st.integers(1, 10**6),
    st.integers(0, 20),
    st.none() | st.integers(1, 20),
    st.sampled_from(ServerStatus),
)
groups = st.lists(servers, max_size=8, unique_by=lambda row: row.id).map(
    lambda rows: sorted(rows, key=lambda row: row.id)
)


def has_room(row: ServerRow) -> bool:
    return row.status is ServerStatus.ACTIVE and (row.max_accounts is None or row.accounts < row.max_accounts)


@given(groups, st.sampled_from(ServerFill))
def test_a_server_with_room_is_chosen_or_none_is_said_to_have_any(group: list[ServerRow], fill: ServerFill) -> None:
    if any(has_room(row) for row in group):
        assert has_room(choose(group, fill))
        return
    with pytest.raises(DomainError) as refused:
        choose(group, fill)
    assert refused.value.code is Code.VALIDATION_ERROR
    none_takes_any = bool(group) and all(row.status is ServerStatus.DISABLED for row in group)
    why = "disabled" if none_takes_any else "full"
    assert refused.value.fields == {"product_id": f"The product id field names a product whose servers are all {why}."}


@given(groups.filter(lambda group: any(has_room(row) for row in group)))
def test_in_order_fills_the_first_one_that_has_room(group: list[ServerRow]) -> None:
    assert choose(group, ServerFill.IN_ORDER) == next(row for row in group if has_room(row))


@given(groups.filter(lambda group: any(has_room(row) for row in group)))
def test_least_full_takes_the_one_with_the_fewest_and_of_those_the_oldest(group: list[ServerRow]) -> None:
    chosen = choose(group, ServerFill.LEAST_FULL)
    fewest = min(row.accounts for row in group if has_room(row))
    assert chosen == next(row for row in group if has_room(row) and row.accounts == fewest)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.sampled_from(ServerFill))
def test_a_group_takes_exactly_as_many_as_it_has_room_for(rooms: list[int], fill: ServerFill) -> None:
    group = {id: a_server(id, 0, most) for id, most in enumerate(rooms, start=1)}
    for _ in range(sum(rooms)):
        chosen = choose(list(group.values()), fill)
        group[chosen.id] = chosen._replace(accounts=chosen.accounts + 1)
    assert [row.accounts for row in group.values()] == rooms
    with pytest.raises(DomainError):
        choose(list(group.values()), fill)


@given(groups, st.sampled_from(ServerFill), st.data())
def test_a_module_is_given_a_server_of_its_own_alone(
    group: list[ServerRow], fill: ServerFill, data: st.DataObject
) -> None:
    mixed = [row._replace(module=data.draw(st.sampled_from(["none", "manual", "mock"]))) for row in group]
    own = [row for row in mixed if row.module == "mock"]
    if any(has_room(row) for row in own):
        assert choose(mixed, fill, "mock") == choose(own, fill)
    else:
        with pytest.raises(DomainError):
            choose(mixed, fill, "mock")
    if any(has_room(row) for row in mixed):
        assert choose(mixed, fill, "manual") == choose(mixed, fill, "none") == choose(mixed, fill)
