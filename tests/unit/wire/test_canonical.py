# SPDX-License-Identifier: Apache-2.0
"""One spelling; this file is about what canonical JSON refuses, and the standard's own examples."""

from __future__ import annotations

import pytest

from gateway.wire.canonical import canonical_bytes, parse_canonical


def test_strings_are_escaped_as_in_the_example_of_the_standard() -> None:
    """RFC 8785, section 3.2.2: the string of its example, with every kind of escape."""
    text = '€$\u000f\nA\'B"\\\\"/'

    assert canonical_bytes(text) == '"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"'.encode()


def test_keys_are_sorted_and_nothing_stands_between() -> None:
    assert canonical_bytes({"b": [1, True, "x"], "a": {"B": -1, "A": 0}}) == b'{"a":{"A":0,"B":-1},"b":[1,true,"x"]}'


@pytest.mark.parametrize(
    "value",
    [
        None,
        1.5,
        1.0,
        float("nan"),
        2**53,
        -(2**53),
        {"é": 1},
        {1: 1},
        "\ud800",
        b"x",
        [[None]],
        {"a": {"b": 0.1}},
        {1, 2},
    ],
)
def test_a_value_outside_the_restriction_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_bytes(value)


def test_the_largest_integers_are_inside() -> None:
    assert canonical_bytes([2**53 - 1, 1 - 2**53]) == b"[9007199254740991,-9007199254740991]"


def test_a_deep_value_is_refused_and_exhausts_nothing() -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_canonical(b"[" * 100_000 + b"]" * 100_000)
    with pytest.raises(ValueError, match="deep"):
        parse_canonical(b"[" * 40 + b"]" * 40)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b" 1",
        b"1\n",
        b"-0",
        b"1.0",
        b"1e2",
        b"01",
        b'{"a":1,"a":1}',
        b'{"b":1,"a":1}',
        b'{"a": 1}',
        b'"\\u0041"',
        b'"\\/"',
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b"9007199254740992",
        b"123456789012345678901234567890",
        b"\xef\xbb\xbf1",
        b'"\x00"',
        b"NaN",
    ],
)
def test_bytes_that_are_not_their_own_canonical_form_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_canonical(data)
