"""Compilation of functions, and an exponential function that allows vectorised loops."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from metahpo.exceptions import MissingDependencyError

try:
    from llvmlite import ir
    from numba import njit, types
    from numba.extending import intrinsic, overload
except ImportError as error:
    raise MissingDependencyError("training an mlp on a CPU needs numba: pip install 'metahpo[networks]'.") from error

F = TypeVar("F", bound=Callable[..., Any])

#: Sums may be reordered; NaN and infinity keep their meaning, since they tell that training diverged.
FLOATING_POINT = {"contract", "reassoc", "nsz", "arcp"}


def compiled(function: F) -> F:
    """Compile a function at its first call, and cache the machine code on disk.

    Threads can run it in parallel. Division by zero gives infinity, as in arrays, because a check would prevent
    vectorised loops.
    """
    made: Any = njit(nogil=True, error_model="numpy", fastmath=FLOATING_POINT)(function)
    with contextlib.suppress(RuntimeError):  # neither the package's folder nor the user's can be written
        made.enable_caching()
    return cast(F, made)


@intrinsic
def _two_to(context: Any, exponent: Any) -> Any:
    """2 to the power of an int32 as a float32, by its bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        integer = ir.IntType(32)
        biased = builder.add(arguments[0], ir.Constant(integer, 127))
        return builder.bitcast(builder.shl(biased, ir.Constant(integer, 23)), ir.FloatType())

    return types.float32(types.int32), generate


#: Called as a compiled function calls it, without the context.
_power_of_two: Any = _two_to


def exponential(x: Any) -> Any:
    """The exponential, in float32 to a relative 2e-7."""
    return math.exp(x)


@overload(exponential)
def _exponential(x: Any) -> Any:
    def double(x: Any) -> Any:
        return math.exp(x)

    if x != types.float32:
        return double
    # exp(x) = 2^n exp(r) with |r| < log(2) / 2 and a polynomial for exp(r): its coefficients, and log(2) in two parts,
    # are those of expf in the Cephes library.
    f = np.float32
    zero, half, one, least, greatest = f(0.0), f(0.5), f(1.0), f(-87.3), f(88.3)
    log2_e, ln2_high, ln2_low = f(1.44269504), f(0.693359375), f(-2.12194440e-4)
    p0, p1, p2 = f(1.9875691500e-4), f(1.3981999507e-3), f(8.3334519073e-3)
    p3, p4, p5 = f(4.1665795894e-2), f(1.6666665459e-1), f(5.0000001201e-1)

    def single(x: Any) -> Any:
        bounded = min(max(x, least), greatest)
        n = np.int32(bounded * log2_e + (half if bounded >= zero else -half))
        whole = np.float32(n)
        r = bounded - whole * ln2_high - whole * ln2_low
        tail = ((((p0 * r + p1) * r + p2) * r + p3) * r + p4) * r + p5
        return (tail * r * r + r + one) * _power_of_two(n)

    return single
