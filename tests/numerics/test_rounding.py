import numpy as np
import pytest

from metahpo.numerics import rounded


@pytest.mark.parametrize("bits", [4, 10, 16])
def test_rounded__has_the_stated_error_and_few_significant_bits(bits: int) -> None:
    values = np.random.default_rng(0).lognormal(sigma=9.0, size=1000).astype(np.float32) * np.float32(-1.0)
    found = rounded(values, bits)
    assert found.dtype == np.float32
    assert (np.abs(found - values) <= np.abs(values) * 2.0**-bits).all()
    assert np.abs(found - values).max() > 0.0
    mantissa = np.frexp(found)[0] * 2**bits
    np.testing.assert_array_equal(mantissa, np.round(mantissa))


def test_rounded__keeps_order_and_what_is_rounded_already() -> None:
    values = np.sort(np.random.default_rng(1).normal(size=200))
    found = rounded(values, 8)
    assert (np.diff(found) >= 0.0).all()
    np.testing.assert_array_equal(rounded(found, 8), found)


def test_rounded__keeps_zero_and_numbers_that_are_not_finite() -> None:
    values = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, np.finfo(np.float32).max], dtype=np.float32)
    np.testing.assert_array_equal(rounded(values, 8), values)
    assert np.isnan(rounded(np.array([0x7FFFFFFF], dtype=np.uint32).view(np.float32), 8)).all()


def test_rounded__to_all_bits_is_single_precision() -> None:
    np.testing.assert_array_equal(rounded([[0.1], [1 / 3]], 24), np.array([[0.1], [1 / 3]], dtype=np.float32))
