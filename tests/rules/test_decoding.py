"""One strict JSON decoder stands at all doors."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.decoding import DecodingError, Number, decode

LARGEST = 2**63 - 1
FRAGMENTS = [*rb'\u0000 \ud800 \udc00 \ " [ } , : NaN 1e9 -0 99999999999999999999'.split(), b"\xef\xbb\xbf"]

documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST, LARGEST)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('abc\\"[{é', max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(documents, st.booleans(), st.sampled_from([None, 2]))
def test_ordinary_documents_read_as_the_standard_library_reads_them(
    value: object, ascii: bool, indent: int | None
) -> None:
    body = json.dumps(value, ensure_ascii=ascii, indent=indent).encode()
    assert decode(body) == json.loads(body) == value


@given(st.binary() | st.text().map(str.encode) | st.text('[]{}",:\\u0d89abcef.-+ \n', max_size=60).map(str.encode))
def test_arbitrary_bytes_raise_nothing_but_a_decoding_error(body: bytes) -> None:
    try:
        value = decode(body)
    except DecodingError as error:
        assert str(error).startswith("The request body is not valid JSON: ")
        assert str(error).endswith(".")
        str(error).encode()
    else:
        assert value == json.loads(body, parse_float=Number)


@given(documents, st.data())
def test_mutated_documents_raise_nothing_but_a_decoding_error(value: object, data: st.DataObject) -> None:
    body = bytearray(json.dumps(value).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body)))
        body[place : place + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3) | st.sampled_from(FRAGMENTS)
        )
    try:
        value = decode(bytes(body))
    except DecodingError as error:
        str(error).encode()
    else:
        assert value == json.loads(body, parse_float=Number)


@pytest.mark.parametrize("text", ["29.99", "30.0", "-0.05", "1e3", "1E-3", "9007199254740993.01", "-0.0", "1e999999"])
def test_a_number_with_a_point_or_an_exponent_is_kept_as_written(text: str) -> None:
    assert decode(f'{{"amount": {text}}}'.encode()) == {"amount": Number(text)}


def test_a_number_is_neither_a_string_nor_a_float() -> None:
    assert not isinstance(Number("1.5"), str | float)


@pytest.mark.parametrize("value", [0, -1, LARGEST, -LARGEST])
def test_an_integer_of_sixty_four_bits_is_read(value: int) -> None:
    assert decode(str(value).encode()) == value


@pytest.mark.parametrize(
    "text", [str(LARGEST + 1), str(-LARGEST - 1), "9" * 19, "9" * 20, "-" + "9" * 19, "1" * 1_000_000]
)
def test_a_larger_integer_is_refused(text: str) -> None:
    refused(text, "an integer is larger than 64 bits hold")


@pytest.mark.parametrize("text", ["0." + "1" * 63, "1" * 1_000_000 + ".5", "1e" + "1" * 1_000_000])
def test_a_number_of_very_many_digits_is_refused(text: str) -> None:
    refused(text, "a number is longer than 64 characters")


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_is_not_a_number_is_refused(text: str) -> None:
    refused(f"[{text}]", f"{text} is not a number")


@pytest.mark.parametrize("text", ["", " ", "\r\n\t "])
def test_an_empty_body_is_refused(text: str) -> None:
    refused(text, "it is empty")


@pytest.mark.parametrize(
    "body", [b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', "{}".encode("utf-16-le") + b"\xd8", b'"\xe9"']
)
def test_what_is_not_utf_8_is_refused(body: bytes) -> None:
    refused(body, "")


def test_a_byte_order_mark_is_refused() -> None:
    refused(b"\xef\xbb\xbf{}", "it starts with a byte order mark")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_another_encoding_is_refused(encoding: str) -> None:
    refused('{"a": 1}'.encode(encoding), "")


@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "a": 1}', '[{"x": {"a": 1, "\\u0061": 2}}]', '{"a": {}, "a": {}}'])
def test_a_member_given_twice_is_refused_by_name(text: str) -> None:
    refused(text, 'the member "a" is given twice')


def test_the_same_name_in_two_objects_is_read() -> None:
    assert decode(b'[{"a": 1}, {"a": {"a": 2}}]') == [{"a": 1}, {"a": {"a": 2}}]


@pytest.mark.parametrize("text", [r'"\u0000"', r'["a\u0000b"]', r'{"\u0000": 1}', r'{"a": ["\\\u0000"]}'])
def test_a_nul_in_a_string_or_a_name_is_refused(text: str) -> None:
    refused(text, "a string contains the character NUL")


@pytest.mark.parametrize(
    "text",
    [
        r'"\ud800"',
        r'"\uDFFF"',
        r'{"\ud83d": 1}',
        r'"\ud83d\ud83d\ude00"',
        r'"\ud83d\ude00\ude00"',
        r'"\ude00\ud83d"',
        r'"\ud83d \ude00"',
        r'"\\\ud83d\\ude00"',
        r'{"\ud800": 1, "\ud800": 2}',
    ],
)
def test_half_of_a_surrogate_pair_is_refused(text: str) -> None:
    refused(text, "a string contains half of a surrogate pair")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"\ud83d\ude00"', "\N{GRINNING FACE}"),
        (r'"\uD83D\uDE00"', "\N{GRINNING FACE}"),
        (r'"\\u0000"', r"\u0000"),
        (r'"\\ud800"', r"\ud800"),
        (r'"\u00e9\\"', "é\\"),
        ('"\N{GRINNING FACE}"', "\N{GRINNING FACE}"),
    ],
)
def test_whole_pairs_and_escaped_backslashes_are_read(text: str, value: str) -> None:
    assert decode(text.encode()) == value


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")])
def test_nesting_of_thirty_two_levels_is_read_and_one_more_refused(opening: str, closing: str) -> None:
    times = 32 // (opening.count("[") + opening.count("{"))
    fits = opening * times + "1" + closing * times
    decode(fits.encode())
    refused(f"[{fits}]", "it is nested more than 32 levels deep")


@pytest.mark.parametrize("text", ["[" * 1_000_000, '{"a":' * 100_000, "[" * 1_000_000 + "]" * 1_000_000])
def test_a_tower_of_brackets_is_refused_before_it_is_parsed(text: str) -> None:
    refused(text, "it is nested more than 32 levels deep")


@pytest.mark.parametrize("value", ["[" * 1000, '"[' * 1000, "\\" * 5 + "{" * 1000, '\\"[' * 1000])
def test_brackets_in_a_string_are_no_nesting(value: str) -> None:
    assert decode(json.dumps([value, [value]]).encode()) == [value, [value]]


def test_a_long_flat_document_is_no_nesting() -> None:
    assert decode(b"[" + b"[[]]," * 1000 + b"{}]") == [[[]]] * 1000 + [{}]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{} {}", "extra data at line 1, column 4"),
        ("[1,]", "expecting value"),
        ('{"a": 1,}', "expecting property name enclosed in double quotes"),
        ("{a: 1}", "expecting property name enclosed in double quotes"),
        ("{'a': 1}", "expecting property name enclosed in double quotes"),
        ('\n["a', "unterminated string starting at line 2, column 2"),
        ('"\t"', "invalid control character at line 1, column 2"),
        ('"\0"', "invalid control character at line 1, column 2"),
        ("[01]", "expecting ',' delimiter"),
        ("[1.]", "expecting ',' delimiter"),
        ("+1", "expecting value"),
        ("\N{ARABIC-INDIC DIGIT ONE}", "expecting value"),
        ("\u00a0{}", "expecting value"),
        ("// a\n{}", "expecting value"),
    ],
)
def test_other_faults_are_refused_with_their_place(text: str, reason: str) -> None:
    refused(text, reason)


@pytest.mark.parametrize(
    "body",
    [
        b'"' + b'\\"' * 500_000,
        b"[[" * 20 + b'"' + b"\\" * 1_000_001,
        b'{"' + b"\\u00e9" * 170_000,
        b"[[]," * 250_000,
        b"{" + b",".join(b'"%d":0' % n for n in range(90_000)) + b',"89999":0}',
    ],
)
def test_no_megabyte_takes_long_to_refuse(body: bytes) -> None:
    started = time.process_time()
    refused(body, "")
    assert time.process_time() - started < 2


def refused(body: str | bytes, reason: str) -> None:
    with pytest.raises(DecodingError) as refusal:
        decode(body.encode() if isinstance(body, str) else body)
    assert str(refusal.value).startswith(f"The request body is not valid JSON: {reason}")
    assert str(refusal.value).endswith(".")
