"""Money is read, kept and written exactly."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema import money
from schema.decoding import Number

EXPONENTS = {"JPY": 0, "USD": 2, "HUF": 2, "KWD": 3, "CLF": 4}
currencies = st.sampled_from(sorted(EXPONENTS))
amounts = st.integers(min_value=-(10**15) + 1, max_value=10**15 - 1)


@pytest.mark.parametrize(("currency", "places"), EXPONENTS.items())
def test_each_currency_has_its_own_decimal_places(currency: str, places: int) -> None:
    assert money.exponent(currency) == places


def test_a_currency_out_of_use_keeps_its_decimal_places() -> None:
    assert money.exponent("HRK") == 2
    assert not money.is_currency("HRK")


@pytest.mark.parametrize("code", ["USD", "EUR", "JPY", "KWD", "GBP", "CHF", "PLN", "XOF", "XCG", "ZWG"])
def test_a_tender_in_use_is_a_currency(code: str) -> None:
    assert money.is_currency(code)


@pytest.mark.parametrize(
    "code", ["XXX", "XTS", "XAU", "XDR", "CLF", "CHE", "DEM", "usd", "Usd", "US", "USDT", "", " USD"]
)
def test_test_codes_metals_funds_old_money_and_small_letters_are_no_currencies(code: str) -> None:
    assert not money.is_currency(code)


def test_an_unknown_code_has_no_decimal_places() -> None:
    with pytest.raises(ValueError, match="unknown currency usd"):
        money.exponent("usd")


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("29.99", "29.99"),
        (" 29.99\n", "29.99"),
        ("30", "30"),
        (30, "30"),
        (-30, "-30"),
        (0, "0"),
        ("-0.05", "-0.05"),
        ("007", "7"),
        (Number("29.99"), "29.99"),
        (Number("-0.0"), "0"),
        (10**15 - 1, "999999999999999"),
        ("999999999999999." + "9" * 20, "999999999999999." + "9" * 20),
    ],
)
def test_plain_decimal_notation_is_read_exactly(value: object, amount: str) -> None:
    assert money.read(value) == Decimal(amount)


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "+1",
        "1e3",
        "1E3",
        "1,000.00",
        "1 000",
        "1_000",
        "- 1",
        "--1",
        ".5",
        "5.",
        "1.2.3",
        "0x1F",
        "NaN",
        "Infinity",
        "-Infinity",
        "sNaN",
        "$5",
        "\N{FULLWIDTH DIGIT FIVE}",
        "\N{ARABIC-INDIC DIGIT THREE}",
        "1\0",
        "1\n2",
        "²",
        Number("1e3"),
        Number("1.5E-1"),
        Number("1e999999999"),
        1.5,
        True,
        False,
        None,
        [],
        {},
        b"1",
        Decimal("1.5"),
    ],
)
def test_everything_else_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^must be an amount"):
        money.read(value)


@pytest.mark.parametrize(
    "value",
    [
        "1" * 16,
        "-" + "1" * 16 + ".5",
        10**15,
        -(10**15),
        pytest.param(10**5000, id="5001 digits"),
        Number("1" * 16 + ".0"),
    ],
)
def test_at_most_fifteen_digits_stand_before_the_point(value: object) -> None:
    with pytest.raises(ValueError, match="at most 15 digits before the point"):
        money.read(value)


def test_at_most_twenty_digits_stand_after_the_point() -> None:
    with pytest.raises(ValueError, match="at most 20 digits after the point"):
        money.read("0." + "0" * 21)


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("29.99", "USD", 2999),
        ("30", "USD", 3000),
        ("30.5", "USD", 3050),
        ("30", "JPY", 30),
        ("1.250", "KWD", 1250),
        ("1.25", "KWD", 1250),
        ("-0.05", "USD", -5),
        ("-0", "USD", 0),
        ("1E+2", "USD", 10000),
        ("999999999999999.999", "KWD", 10**18 - 1),
        ("9" * 40 + ".99", "USD", 10**42 - 1),
    ],
)
def test_an_amount_becomes_minor_units(amount: str, currency: str, units: int) -> None:
    assert money.minor(Decimal(amount), currency) == units


@pytest.mark.parametrize(
    ("amount", "currency", "places"),
    [
        ("29.999", "USD", 2),
        ("29.990", "USD", 2),
        ("30.0", "JPY", 0),
        ("30.5", "JPY", 0),
        ("1.2500", "KWD", 3),
        ("0.001", "HUF", 2),
    ],
)
def test_more_digits_than_the_currency_has_are_refused_and_never_rounded_away(
    amount: str, currency: str, places: int
) -> None:
    with pytest.raises(ValueError, match=rf"^has more decimal places than {currency} allows \({places}\)$"):
        money.minor(Decimal(amount), currency)


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_not_finite_is_no_amount(amount: str) -> None:
    with pytest.raises(ValueError, match="must be an amount"):
        money.minor(Decimal(amount), "USD")


@pytest.mark.parametrize(
    ("units", "currency", "written"),
    [
        (2999, "USD", "29.99"),
        (30, "JPY", "30"),
        (-30, "JPY", "-30"),
        (1250, "KWD", "1.250"),
        (-5, "USD", "-0.05"),
        (5, "CLF", "0.0005"),
        (0, "USD", "0.00"),
        (0, "JPY", "0"),
        (-100, "USD", "-1.00"),
        (9007199254740993, "USD", "90071992547409.93"),
    ],
)
def test_an_amount_is_written_with_exactly_the_digits_of_its_currency(units: int, currency: str, written: str) -> None:
    assert money.text(units, currency) == written


@given(amounts, currencies)
def test_what_is_written_reads_back_as_the_same_minor_units(units: int, currency: str) -> None:
    written = money.text(units, currency)
    assert money.minor(money.read(written), currency) == units
    assert len(written.partition(".")[2]) == EXPONENTS[currency]


@given(amounts, currencies)
def test_a_json_number_and_a_json_string_are_the_same_amount(units: int, currency: str) -> None:
    written = money.text(units, currency)
    assert money.read(Number(written)) == money.read(written)


@given(st.text() | st.from_regex(r"[-+ ]?[0-9]*[.,eE]?[0-9]*", fullmatch=True), currencies)
def test_any_text_is_an_exact_amount_or_refused(written: str, currency: str) -> None:
    try:
        amount = money.read(written)
        units = money.minor(amount, currency)
    except ValueError as error:
        assert str(error).startswith(("must ", "has "))
    else:
        assert Decimal(money.text(units, currency)) == amount == Decimal(written)
