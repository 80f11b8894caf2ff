"""Numbers and dates that are written as text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metahpo.exceptions import DataError
from metahpo.tasks.written import DateWriting, Mark, NumberWriting, date_writing, needs_comma, number_writing

NAN = np.nan


@pytest.mark.parametrize(
    ("texts", "expected", "how"),
    [
        (["1", "-2.5", "+3e2", ".5", "4."], [1, -2.5, 300, 0.5, 4], "decimal point"),
        (["1.5", "?", "", "NA"], [1.5, NAN, NAN, NAN], "'?', 'NA' for missing"),
        (["1,5", "-0,25", "12"], [1.5, -0.25, 12], "decimal comma"),
        (["1,234", "12,345,678", "9"], [1234, 12345678, 9], "',' between thousands"),
        (["1,234.5", "0.5"], [1234.5, 0.5], "',' between thousands"),
        (["1.234,5", "2.000", "3"], [1234.5, 2000, 3], "decimal comma, '.' between thousands"),
        (["1 234,5", "7\u00a0000", "3\u202f000"], [1234.5, 7000, 3000], "decimal comma, blanks between thousands"),
        (["1'234.5", "2\u2019000"], [1234.5, 2000], "apostrophes between thousands"),
        (["12.5%", "3 %", "0"], [12.5, 3, 0], "in percent"),
        (["$1,000", "-$2,000", "$-3"], [1000, -2000, -3], "',' between thousands, in $"),
        (["5 €", "2,5 €"], [5, 2.5], "decimal comma, in €"),
        (["\u22121", " 2 "], [-1, 2], "decimal point"),
        (["inf", "1"], [np.inf, 1], "decimal point"),
        ([*map(str, range(1, 25)), "unknown"], [*range(1, 25), NAN], "'unknown' for missing"),
    ],
)
def test_numbers_are_read_as_they_are_written(texts: list[str], expected: list[float], how: str) -> None:
    writing = number_writing(texts)
    assert writing is not None
    assert str(writing) == how
    np.testing.assert_array_equal(writing.values(texts), expected)


@pytest.mark.parametrize(
    "texts",
    [
        ["a", "1"], ["007", "123"], ["1-2", "3-4"], ["1.2.3", "4.5.6"], ["12:30"], ["$1", "€2"], ["5%", "0.05"],
        ["1,2,3"], ["85+", *map(str, range(84))], ["?", "NA"], ["True", "False"], ["1_000"], ["٣"], ["--5"], ["$5€"],
        ["0x1f"], ["1.5", "1,5"], ["12,34,567"],
    ],
)  # fmt: skip
def test_what_is_no_number_stays_text(texts: list[str]) -> None:
    assert number_writing(texts) is None


def test_a_comma_before_three_digits_is_what_other_columns_make_it() -> None:
    texts = ["1,234", "5,678"]
    for mark, expected in ((".", 1234.0), (",", 1.234)):
        wanted: Mark = "," if mark == "," else "."
        writing = number_writing(texts, wanted)
        assert writing is not None
        assert writing.values(texts)[0] == expected
    assert not needs_comma(texts)
    assert needs_comma(["1,5"])


NUMBER_FORMS = [NumberWriting(), NumberWriting(",", "."), NumberWriting(",", " ", "%"), NumberWriting(".", "'", "$")]


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.decimals(-(10**9), 10**9, places=3), min_size=1, max_size=6),
    form=st.sampled_from(NUMBER_FORMS),
)
def test_any_number_is_read_back(numbers: list[float], form: NumberWriting) -> None:
    texts = []
    for number in numbers:
        plain = f"{float(number):_.3f}".replace(".", form.decimal).replace("_", form.thousands)
        texts.append(f"{plain} {form.unit}" if form.unit else plain)
    np.testing.assert_allclose(form.values(texts), np.array(numbers, dtype=float))
    found = number_writing(texts, form.decimal)
    assert found is not None
    np.testing.assert_allclose(found.values(texts), np.array(numbers, dtype=float))


@pytest.mark.parametrize(
    ("texts", "expected", "how"),
    [
        (["1970-01-02", "1970-01-03", "?"], [1, 2, NAN], "ISO 8601"),
        (["1970-01-02T12:00:00Z", "1970-01-02 18:00:00+06:00"], [1.5, 1.5], "ISO 8601"),
        (["1970-1-2", "1970-1-13"], [1, 12], "%Y-%m-%d"),
        (["02.01.1970", "31.01.1970"], [1, 30], "%d.%m.%Y"),
        (["1/2/1970", "1/31/1970"], [1, 30], "%m/%d/%Y"),
        (["1/2/1970", "31/1/1970"], [31, 30], "%d/%m/%Y"),
        (["1/2/1970 06:00 AM", "1/3/1970 12:00 PM"], [1.25, 2.5], "%m/%d/%Y %I:%M %p"),
        (["2 Jan 1970", "3 Feb 1970"], [1, 33], "%d %b %Y"),
        (["January 2, 1970"], [1], "%B %d, %Y"),
        (["0001-01-01", "9999-12-31"], [-719162, 2932896], "ISO 8601"),
    ],
)
def test_dates_are_read_as_they_are_written(texts: list[str], expected: list[float], how: str) -> None:
    writing = date_writing(texts)
    assert writing is not None
    assert str(writing) == how
    np.testing.assert_array_equal(writing.values(texts), expected)


@pytest.mark.parametrize(
    "texts", [["1970-13-01"], ["2001-02"], ["1.2.3"], ["a-b-c"], ["12:30"], ["1970-01-02", "soon"], ["?"], []]
)
def test_what_is_no_date_stays_text(texts: list[str]) -> None:
    assert date_writing(texts) is None


def test_a_value_that_says_neither_is_named() -> None:
    with pytest.raises(DataError, match=r"'1,5' is no number \(decimal point\)"):
        NumberWriting().values(["1.5", "1,5"])
    with pytest.raises(DataError, match=r"'soon' is no date \(ISO 8601\)"):
        DateWriting().values(["1970-01-02", "soon"])
