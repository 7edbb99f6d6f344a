"""Typed ids: read in every form that is documented, refused in every other one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema import ids
from schema.checks import Reference
from schema.ids import Kind
from schema.root import NODES

kinds = st.sampled_from(Kind)
numbers = st.integers(0, ids.LARGEST)


def test_prefixes_are_those_of_the_contract() -> None:
    assert {kind.value for kind in Kind} == {
        "cli",
        "svc",
        "inv",
        "item",
        "pay",
        "tic",
        "msg",
        "dep",
        "pro",
        "pri",
        "srv",
        "grp",
        "key",
        "mcl",
        "whk",
        "dlv",
    }


@given(kinds, numbers)
def test_an_id_is_read_as_it_was_written(kind: Kind, number: int) -> None:
    assert ids.read(kind, ids.write(kind, number)) == number
    assert ids.read(kind, str(number)) == number
    assert Reference(kind)(number) == Reference(kind)(str(number)) == number


@given(kinds, kinds, numbers)
def test_an_id_of_another_type_is_refused_and_says_which_prefix_is_meant(kind: Kind, other: Kind, number: int) -> None:
    if kind is not other:
        with pytest.raises(ValueError, match=f"must be an id such as {kind.value}_1234, and .* is of another type"):
            ids.read(kind, ids.write(other, number))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "_",
        "_1",
        "inv_",
        "inv_-1",
        "inv_+1",
        "inv_1.0",
        "inv_1e3",
        "inv_ 1",
        "inv_1 ",
        "INV_1",
        "Inv_1",
        "inv1",
        "inv-1",
        "inv__1",
        "inv_inv_1",
        "-1",
        "1.0",
        "0x1",
        "²",
        "inv_²",
        "\N{FULLWIDTH DIGIT ONE}",
        "inv_\N{ARABIC-INDIC DIGIT ONE}",
        str(2**63),
        "9" * 19,
        "9" * 5000,
        "inv_1\0",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be an id such as inv_1234 or 1234$"):
        ids.read(Kind.INVOICE, text)


def test_the_largest_id_is_the_largest_that_the_database_holds() -> None:
    assert ids.read(Kind.INVOICE, f"inv_{2**63 - 1}") == 2**63 - 1


@given(kinds, st.text())
def test_any_text_is_an_id_or_refused(kind: Kind, text: str) -> None:
    try:
        number = ids.read(kind, text)
    except ValueError as error:
        assert str(error).startswith("must be ")
    else:
        assert 0 <= number <= ids.LARGEST


def test_every_object_with_an_id_of_its_own_is_found_by_it() -> None:
    parts = {Kind.ITEM, Kind.PAYMENT, Kind.MESSAGE, Kind.PRICE}  # shown with the object that they are a part of
    assert set(NODES) == set(Kind) - parts
