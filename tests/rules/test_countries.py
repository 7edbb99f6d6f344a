"""A country is given by either of its letter codes and kept as alpha-2."""

import string
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.countries import alpha2

TWO = {"".join(letters) for letters in product(string.ascii_uppercase, repeat=2)}
THREE = {"".join(letters) for letters in product(string.ascii_uppercase, repeat=3)}


@pytest.mark.parametrize(
    ("code", "country"),
    [
        ("US", "US"),
        ("usa", "US"),
        ("Gb", "GB"),
        ("GBR", "GB"),
        ("deu", "DE"),
        ("CHE", "CH"),
        ("AUT", "AT"),
        ("AUS", "AU"),
    ],
)
def test_either_code_in_any_case_is_the_country(code: str, country: str) -> None:
    assert alpha2(code) == country


def test_the_officially_assigned_countries_are_249_with_two_codes_each() -> None:
    countries = {code for code in TWO if alpha2(code)}
    assert len(countries) == 249
    assert all(alpha2(code) == code for code in countries)
    assert sorted(filter(None, map(alpha2, THREE))) == sorted(countries)


@pytest.mark.parametrize(
    "code", ["", "U", "UK", "EU", "XK", "XX", "ZZ", "SU", "ANT", "USAA", "840", "U S", " US", "US\0"]
)
def test_anything_else_is_no_country(code: str) -> None:
    assert alpha2(code) is None


@pytest.mark.parametrize(
    "code",
    [
        "\N{LATIN SMALL LIGATURE FI}",
        "\N{LATIN SMALL LETTER DOTLESS I}t",
        "\N{LATIN SMALL LETTER SHARP S}",
        "u\N{LATIN SMALL LETTER LONG S}",
        "\N{FULLWIDTH LATIN CAPITAL LETTER U}S",
    ],
)
def test_letters_whose_capitals_spell_a_code_are_no_country(code: str) -> None:
    assert alpha2(code) is None


@given(st.text(max_size=4))
def test_any_text_is_a_country_of_two_capitals_or_none(code: str) -> None:
    country = alpha2(code)
    assert country is None or (country in TWO and alpha2(country.lower()) == country)
