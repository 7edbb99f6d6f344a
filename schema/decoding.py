"""The one JSON decoder of all doors: strict, bounded, and without a float."""

import codecs
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final, NoReturn

import orjson

MAX_DEPTH: Final = 32
MAX_INTEGER: Final = 2**63 - 1
MAX_NUMBER_LENGTH: Final = 64

# Possessive, and content with an unterminated string, so that no body makes the scan quadratic.
_STRING: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_A_BRACKET: Final = re.compile(r"[^\[\]{}]+")
# Every escape in turn, so that an escaped backslash before "u0000" is not mistaken for a NUL. A NUL or a surrogate can
# only arrive escaped: raw ones are refused as a control character and as UTF-8.
_ESCAPE: Final = re.compile(
    r"\\(?:u(?:d[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(?P<nul>0000)|(?P<surrogate>d[89a-f][0-9a-f]{2}))|.)",
    re.IGNORECASE | re.DOTALL,
)


class DecodingError(ValueError):
    """The body cannot be read; the message is a sentence for the caller."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The request body is not valid JSON: {reason}.")


@dataclass(frozen=True, slots=True)
class Number:
    """A JSON number with a point or an exponent, kept as it was written."""

    text: str

    def __inspect__(self) -> str:
        """How GraphQL's errors show it."""
        return self.text


def decode(body: bytes) -> object:
    """Read a JSON document into dicts, lists, strings, ints, Numbers, booleans and None, or raise a DecodingError."""
    if body.startswith(codecs.BOM_UTF8):
        raise DecodingError("it starts with a byte order mark")
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise DecodingError(f"it is not UTF-8 at byte {error.start}") from None
    if not text.strip(" \t\r\n"):
        raise DecodingError("it is empty")
    _check_depth(text)
    _check_escapes(text)
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        reason = error.msg[0].lower() + error.msg[1:].removesuffix(" at")
        raise DecodingError(f"{reason} at line {error.lineno}, column {error.colno}") from None
    return value


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _NOT_A_BRACKET.sub("", _STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise DecodingError(f"it is nested more than {MAX_DEPTH} levels deep")


def _check_escapes(text: str) -> None:
    if "\\u" not in text:
        return
    for escape in _ESCAPE.finditer(text):
        if escape["nul"]:
            raise DecodingError("a string contains the character NUL")
        if escape["surrogate"]:
            raise DecodingError("a string contains half of a surrogate pair")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise DecodingError(f"the member {json.dumps(twice[:80], ensure_ascii=False)} is given twice")
    return members


def _integer(text: str) -> int:
    if len(text) > len(str(-MAX_INTEGER)) or abs(value := int(text)) > MAX_INTEGER:
        raise DecodingError("an integer is larger than 64 bits hold")
    return value


def _number(text: str) -> Number:
    if len(text) > MAX_NUMBER_LENGTH:
        raise DecodingError(f"a number is longer than {MAX_NUMBER_LENGTH} characters")
    return Number(text)


def _constant(name: str) -> NoReturn:
    raise DecodingError(f"{name} is not a number")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
)


def canonical(value: object) -> bytes:
    """One text for each decoded value, whatever the order of its members and its blanks."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=_number_text)


def _number_text(value: object) -> str:
    if isinstance(value, Number):
        return value.text
    raise TypeError(type(value).__name__)
