"""The small language: what it says is what numbers do."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ridgebayes.native.code import LANES, Code, machine_code

NUMBERS = itertools.count()


def run(write, result, *operands):
    """Run what `write(code)` writes as a function of operands."""
    code = Code("tried")
    write(code)
    name = f"tried_{next(NUMBERS)}"
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(machine_code(code.text(), "tried")), platform="cpu")
    call = jax.ffi.ffi_call(name, jax.ShapeDtypeStruct(result, jnp.float64))
    return np.asarray(jax.jit(call)(*map(jnp.asarray, operands)))


def test_arithmetic(rng):
    def write(code):
        x, y, z = code.operand(0), code.operand(1), code.result(0)
        a, b = x[(0,)], y[(0,)]
        for i, value in enumerate(
            (a + b, a - b, a * b, a / b, 2.0 * a, 1.0 / b, a + 1.0, sum([a, b, b]), code.sqrt(a))
        ):
            z[(i,)] = value

    a, b = 3.7, 0.3
    expected = [a + b, a - b, a * b, a / b, 2 * a, 1 / b, a + 1, a + 2 * b, a**0.5]
    np.testing.assert_allclose(run(write, (9,), [a], [b]), expected, rtol=1e-15)


def test_vectors(rng):
    x = rng.uniform(0.5, 2.0, (3, LANES))

    def write(code):
        rows, z = code.operand(0, LANES), code.result(0, LANES)
        a, b = rows.vector(1, 0), rows.vector(2, 0)
        z.set_vector(0, 0, to=a * b + code.everywhere(rows[0, 3]))
        z[1, 0], z[1, 1] = code.total(a), code.product(a)

    found = run(write, (2, LANES), x)
    np.testing.assert_allclose(found[0], x[1] * x[2] + x[0, 3], rtol=1e-15)
    np.testing.assert_allclose(found[1, :2], [x[1].sum(), x[1].prod()], rtol=1e-14)


def test_flags_choose():
    flags = np.arange(LANES) % 3 == 0

    def write(code):
        here, x, z = code.flags(0, LANES), code.operand(1, LANES), code.result(0, LANES)
        z.set_vector(0, 0, to=code.where(here.true(0, 0), x.vector(0, 0), 9.0))

    x = np.linspace(0, 1, LANES)
    np.testing.assert_array_equal(run(write, (1, LANES), flags, x), [np.where(flags, x, 9.0)])


def test_mantissa_and_exponent(rng):
    x = 10.0 ** rng.uniform(-300, 300, LANES)

    def write(code):
        z = code.result(0, LANES)
        mantissa, exponent = code.split(code.operand(0, LANES).vector(0, 0))
        z.set_vector(0, 0, to=mantissa)
        z.set_vector(1, 0, to=exponent)

    mantissa, exponent = run(write, (2, LANES), x)
    assert ((mantissa >= 1) & (mantissa < 2)).all()
    np.testing.assert_array_equal(np.ldexp(mantissa, exponent.astype(int)), x)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_loop_carries_numbers(n):
    def write(code):
        x, sizes = code.operand(0), code.integers(1)
        count, total = code.loop(
            0, sizes(0), [code.number(0.0), code.number(1.0)], lambda i, s: [s[0] + 1.0, s[1] + x[(i,)]]
        )
        z = code.result(0)
        z[(0,)], z[(1,)] = count, total

    x = np.arange(10.0)
    np.testing.assert_array_equal(run(write, (2,), x, np.array([n])), [n, 1 + x[:n].sum()])


def test_skip_ends_where_a_test_fails():
    def write(code):
        numbers, z = code.integers(0), code.result(0)
        same = lambda i: code.build.icmp_signed("==", numbers(i), code.integer(4))  # noqa: E731
        for i, stop in enumerate((5, 2)):
            end = code.skip(code.integer(1), stop, same)
            z[(i,)] = code.loop(0, end, [code.number(0.0)], lambda _, s: [s[0] + 1.0])[0]

    np.testing.assert_array_equal(run(write, (2,), np.array([0, 4, 4, 7, 4])), [3, 2])
