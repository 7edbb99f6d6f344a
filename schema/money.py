"""Money: whole minor units of an ISO 4217 currency, read and written exactly, never through a float.

The message of a ValueError follows the name of the field: "The amount field" + " " + message + ".".
"""

import re
from decimal import Decimal
from typing import Final

from babel.core import get_global

from schema.decoding import Number

_PLAIN: Final = re.compile(r"-?([0-9]+)(?:\.([0-9]+))?")
_MAX_WHOLE_DIGITS: Final = 15
_MAX_DECIMAL_PLACES: Final = 20

_FRACTIONS: Final = get_global("currency_fractions")
# Babel tells the digits that are in daily use; the API shows those of ISO 4217, which differ for these.
_ISO: Final = {"IQD": 3} | dict.fromkeys(
    ("AFN", "ALL", "IRR", "KPW", "LAK", "LBP", "MGA", "MMK", "RSD", "SOS", "SYP", "YER"), 2
)
_EXPONENTS: Final[dict[str, int]] = {
    code: _FRACTIONS.get(code, _FRACTIONS["DEFAULT"])[0] for code in get_global("all_currencies")
} | _ISO
_CENTS: Final = tuple(f".{cents:02}" for cents in range(100))
_CURRENT: Final = frozenset(
    code
    for uses in get_global("territory_currencies").values()
    for code, _, end, is_tender in uses
    if is_tender and end is None
)


def is_currency(code: str) -> bool:
    """Whether the code, in capitals, is a currency that is legal tender somewhere today."""
    return code in _CURRENT


def exponent(currency: str) -> int:
    """How many decimal places the currency has; a currency out of use keeps its own, for what is stored in it."""
    try:
        return _EXPONENTS[currency]
    except KeyError:
        raise ValueError(f"has the unknown currency {currency}") from None


def read(value: object) -> Decimal:
    """Read an amount in plain decimal notation from a JSON string, an integer or a Number."""
    match value:
        case bool():
            raise ValueError("must be an amount")
        case int():
            # Not str(value): Python refuses to write an integer of thousands of digits.
            if abs(value) >= 10**_MAX_WHOLE_DIGITS:
                raise ValueError(f"must have at most {_MAX_WHOLE_DIGITS} digits before the point")
            return Decimal(value)
        case Number(text=text):
            return _plain(text)
        case str():
            return _plain(value.strip())
        case _:
            raise ValueError("must be an amount")


def minor(amount: Decimal, currency: str) -> int:
    """The amount in minor units; more decimal places than the currency has are refused, never rounded away."""
    places = exponent(currency)
    written = amount.as_tuple().exponent
    if not isinstance(written, int):
        raise ValueError("must be an amount")
    if -written > places:
        raise ValueError(f"has more decimal places than {currency} allows ({places})")
    # Decimal arithmetic rounds to its context; integers do not.
    numerator, denominator = amount.as_integer_ratio()
    scale: int = 10**places
    return numerator * scale // denominator


def text(minor_units: int, currency: str) -> str:
    """Write the amount with exactly the currency's decimal places: 29.99, 30, 1.250, -0.05."""
    places = exponent(currency)
    if places == 2 and minor_units >= 0:  # nearly all
        return f"{minor_units // 100}{_CENTS[minor_units % 100]}"
    if not places:
        return str(minor_units)
    digits = str(abs(minor_units)).zfill(places + 1)
    sign = "-" if minor_units < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def _plain(written: str) -> Decimal:
    parts = _PLAIN.fullmatch(written)
    if not parts:
        raise ValueError('must be an amount in plain decimal notation, such as "29.99"')
    if len(parts[1]) > _MAX_WHOLE_DIGITS:
        raise ValueError(f"must have at most {_MAX_WHOLE_DIGITS} digits before the point")
    if len(parts[2] or "") > _MAX_DECIMAL_PLACES:
        raise ValueError(f"must have at most {_MAX_DECIMAL_PLACES} digits after the point")
    return Decimal(written)
