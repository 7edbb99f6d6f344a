"""What texts, addresses, names and countries must look like."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcbilling import clock
from schema.checks import Between, Text, country_code, email_address, host_name, moment
from schema.clients import PASSWORD
from schema.moments import since, until
from schema.tickets import MESSAGE

# Texts


@pytest.mark.parametrize(
    ("given", "kept"), [("Ada", "Ada"), ("  Ada\n", "Ada"), ("", None), (" \t\n", None), ("Żółć 🙂", "Żółć 🙂")]
)
def test_a_text_is_trimmed_and_an_empty_one_is_null(given: str, kept: str | None) -> None:
    assert Text()(given) == kept


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("a\0b", "must not contain the NUL character"),
        ("a\ud800b", "must not contain lone surrogates"),
        ("\udfff", "must not contain lone surrogates"),
        ("a" * 256, "must be at most 255 characters"),
    ],
)
def test_a_text_that_cannot_be_stored_is_refused(given: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        Text()(given)


@pytest.mark.parametrize(("most", "said"), [(255, "255"), (1000, "1,000"), (65_535, "65,535")])
def test_the_longest_text_fits_and_a_longer_one_is_refused(most: int, said: str) -> None:
    assert Text(most)("é" * most) == "é" * most
    with pytest.raises(ValueError, match=f"at most {said} characters"):
        Text(most)("é" * (most + 1))


def test_passwords_and_messages_are_taken_exactly_as_they_are() -> None:
    assert PASSWORD("  12345678 ") == "  12345678 "
    assert MESSAGE("  \n hello \n") == "  \n hello \n"


@pytest.mark.parametrize("password", ["1234567", "é" * 7])
def test_a_password_of_seven_characters_is_too_short(password: str) -> None:
    with pytest.raises(ValueError, match=r"^must be at least 8 characters$"):
        PASSWORD(password)


@pytest.mark.parametrize("password", ["12345678", "        ", "é" * 8, "x" * 1024])
def test_any_8_to_1024_characters_are_a_password(password: str) -> None:
    assert PASSWORD(password) == password


@given(st.text(max_size=300))
def test_any_text_is_kept_or_refused(text: str) -> None:
    try:
        kept = Text()(text)
    except ValueError as error:
        assert str(error).startswith("must ")
    else:
        assert kept == (text.strip() or None)


@pytest.mark.parametrize("number", [1, 50, 100])
def test_a_number_within_its_bounds_is_kept(number: int) -> None:
    assert Between(1, 100)(number) == number


@pytest.mark.parametrize("number", [0, -1, 101, 10**30])
def test_a_number_beyond_its_bounds_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=r"^must be from 1 to 100$"):
        Between(1, 100)(number)


# E-mail addresses, by form only


@pytest.mark.parametrize(
    "address",
    [
        "a@shop.test",
        "a@x.local",
        "ada@example.com",
        "Ada.Lovelace+billing@Example.CO.UK",
        "o'brien@example.com",
        "user@sub.sub.example.museum",
        "x@invalid.invalid",
        "jürgen@example.com",
        "info@münchen.example",
        "用户@例え.テスト",
        "1@2.example",
    ],
)
def test_an_address_is_checked_by_its_form_alone_and_kept_as_it_was_given(address: str) -> None:
    assert email_address(address) == address
    assert email_address(f"  {address}\n") == address


def test_an_address_that_is_too_long_once_it_is_case_folded_is_refused() -> None:
    host = f"@{'a' * 60}.{'b' * 50}.com"
    assert email_address("\u0390" * 40 + host) is not None
    with pytest.raises(ValueError, match=r"^must be at most 255 characters when case-folded$"):
        email_address("\u0390" * 60 + host)


@pytest.mark.parametrize(
    "address",
    [
        "ada",
        "@example.com",
        "ada@",
        "ada@@example.com",
        "a@b@example.com",
        "ada example@example.com",
        "ada@exam ple.com",
        "ada@-example.com",
        "ada@example..com",
        ".ada@example.com",
        "ada.@example.com",
        "a..b@example.com",
        "Ada <ada@example.com>",
        "ada@example.com,bob@example.com",
        "ada@" + "a" * 64 + ".com",
        "ada@exam\nple.com",
    ],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a valid email address$"):
        email_address(address)


@given(st.text(max_size=300) | st.from_regex(r"[^\s@]{0,70}@[^\s@]{0,70}", fullmatch=True))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        email_address(text)
    except ValueError as error:
        assert str(error).startswith("must ")


# Host names


@pytest.mark.parametrize(
    "name",
    [
        "example.com",
        "shop.example.co.uk",
        "EXAMPLE.com",
        "shop.test",
        "my-shop.local",
        "1.example.com",
        "3com.example",
        "example.com.",
        "xn--mnchen-3ya.de",
        "münchen.de",
        "例え.テスト",
        "παράδειγμα.δοκιμή",
        "a" * 63 + ".com",
    ],
)
def test_a_host_name_is_kept_as_it_was_given(name: str) -> None:
    assert host_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "http://example.com",
        "example.com/shop",
        "example.com:80",
        "user@example.com",
        "exa mple.com",
        "exa_mple.com",
        "exa\u200bmple.com",
        "exa\u00admple.com",
        "-example.com",
        "example-.com",
        "example..com",
        ".example.com",
        "example.com..",
        "*.example.com",
        "192.0.2.1",
        "[2001:db8::1]",
        "a" * 64 + ".com",
        ".".join(["a" * 50] * 5),
        "☃☃ .com",
        "-ü.de",
        ".",
        "..",
    ],
)
def test_what_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a host name such as example.com$"):
        host_name(name)


@given(st.text(max_size=300) | st.from_regex(r"[\w.-]{1,80}", fullmatch=True))
def test_any_text_is_a_host_name_or_refused(text: str) -> None:
    try:
        host_name(text)
    except ValueError as error:
        assert str(error).startswith("must ")


# Countries


@pytest.mark.parametrize(
    ("given", "code"),
    [("US", "US"), ("usa", "US"), ("de", "DE"), ("Deu", "DE"), ("GB", "GB"), (" fr ", "FR"), ("", None)],
)
def test_a_country_is_kept_as_its_alpha_2(given: str, code: str | None) -> None:
    assert country_code(given) == code


@pytest.mark.parametrize(
    "given",
    ["UK", "XX", "EU", "U", "USAA", "840", "Germany", "ß", "\N{FULLWIDTH LATIN CAPITAL LETTER U}S", "XXX", "ZZ"],
)
def test_what_is_no_country_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"^must be an ISO 3166-1 country code such as US or USA$"):
        country_code(given)


# Moments


def test_a_date_is_not_a_time() -> None:
    with pytest.raises(ValueError, match="must be a time"):
        moment(date(2026, 1, 31))


@given(st.dates())
def test_a_day_in_a_filter_is_all_of_it(day: date) -> None:
    first, last = since(day), until(day)
    assert first == clock.start_of(day)
    assert first.date() == last.date() == day
    assert last >= first.replace(hour=23, minute=59, second=59)


@pytest.mark.parametrize("day", [date.min, date.max])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_ends_of_the_calendar_are_days_in_every_zone(day: date, zone: str) -> None:
    clock.use_zone(ZoneInfo(zone))
    try:
        assert since(day) <= until(day)
    finally:
        clock.use_zone(ZoneInfo("UTC"))


def test_the_last_second_of_the_calendar_is_a_moment() -> None:
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert until(end) >= end
