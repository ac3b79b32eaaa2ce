import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from ridgebayes.inference import compiling
from ridgebayes.inference.compiling import compiled_quickly


def test_values_are_those_of_the_function():
    x = jnp.linspace(0.1, 3.0, 50).reshape(10, 5)
    found = compiled_quickly(lambda x: jax.scipy.special.gammaln(x).sum(0) + jnp.sort(x, 0)[3])(x)
    expected = scipy.special.gammaln(x).sum(0) + np.sort(x, 0)[3]
    assert np.allclose(found, expected, rtol=1e-12)


def test_it_is_compiled_once_for_one_shape():
    traced = []

    @compiled_quickly
    def double(x):
        traced.append(x.shape)
        return 2 * x

    assert double(jnp.ones(3)).tolist() == double(jnp.ones(3)).tolist() == [2, 2, 2]
    assert traced == [(3,)]


def test_memory_of_long_compilations_is_given_back(monkeypatch):
    given_back = []
    monkeypatch.setattr(compiling, "give_back_memory", lambda: given_back.append(1))
    jax.jit(lambda x: jnp.cos(x) + 3)(np.ones(7))
    assert not given_back
    monkeypatch.setattr(compiling, "_LONG", 0.0)
    compiled = jax.jit(lambda x: jnp.cos(x) + 4)
    compiled(np.ones(7))
    assert given_back == [1]
    compiled(np.zeros(7))
    assert given_back == [1]
