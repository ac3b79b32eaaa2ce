r"""Coefficients of the terms of each revolution given its rates: a small linear system, unrolled.

With :math:`G = \Phi^\top D^{-1} \Phi`, :math:`b = \Phi^\top D^{-1} (y - m)` and prior sd τ the matrix is
:math:`1 + \tau G \tau = L L^\top`. Each entry is an array (revolution,), because batched LAPACK is ten times
slower here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp

Columns = list[Any]
Matrix = list[list[Any]]
"""Entries of a small matrix, lower triangle only."""


class Solved(NamedTuple):
    """Solution of the small system."""

    inverse: Matrix  # L⁻¹
    forward: Columns  # L⁻¹ τ b
    z: Columns  # posterior mean of the coefficients over τ


def solve(gram: Matrix, projected: Columns, sd: Columns) -> Solved:
    """Solve the system for G (lower triangle), b and τ."""
    terms = range(len(sd))
    system = [[sd[i] * gram[i][j] * sd[j] + (1.0 if i == j else 0.0) for j in range(i + 1)] for i in terms]
    inverse = _inverse_factor(system)
    right = [sd[j] * projected[j] for j in terms]
    forward = [sum(inverse[i][k] * right[k] for k in range(i + 1)) for i in terms]
    return Solved(inverse, forward, [sum(inverse[k][i] * forward[k] for k in terms[i:]) for i in terms])


def moments(solved: Solved, sd: Columns) -> tuple[Columns, Matrix]:
    """Mean and covariance (lower triangle) of the coefficients given the rates."""
    scaled = scaled_covariance(solved)
    mean = [sd[j] * z for j, z in enumerate(solved.z)]
    return mean, [[sd[i] * x * sd[j] for j, x in enumerate(row)] for i, row in enumerate(scaled)]


def scaled_covariance(solved: Solved) -> Matrix:
    """Covariance of the coefficients over τ on both sides, lower triangle: (L Lᵀ)⁻¹."""
    inverse, n = solved.inverse, len(solved.z)
    return [[sum(inverse[k][i] * inverse[k][j] for k in range(i, n)) for j in range(i + 1)] for i in range(n)]


def slope_of_sd(solved: Solved, gram: Matrix, projected: Columns, sd: Columns) -> Columns:
    """Differentiate the log density by each τ: (z² + scaled − 1) / τ, without a division, as τ may be 0."""
    terms, mean = range(len(sd)), moments(solved, sd)[0]
    whole, scaled = symmetric(gram), symmetric(scaled_covariance(solved))
    pull = [solved.z[j] * (projected[j] - sum(whole[j][k] * mean[k] for k in terms)) for j in terms]
    return [pull[j] - sum(scaled[j][k] * sd[k] * whole[k][j] for k in terms) for j in terms]


def symmetric(lower: Matrix) -> Matrix:
    """Fill a symmetric matrix from its lower triangle."""
    n = range(len(lower))
    return [[lower[max(i, j)][min(i, j)] for j in n] for i in n]


def _inverse_factor(a: Matrix) -> Matrix:
    """L⁻¹ of a positive definite a = L Lᵀ, with one division for each column."""
    n = len(a)
    chol: Matrix = [[0.0] * (i + 1) for i in range(n)]
    inverse: Matrix = [[0.0] * (i + 1) for i in range(n)]
    for j in range(n):
        chol[j][j] = jnp.sqrt(a[j][j] - sum(chol[j][k] * chol[j][k] for k in range(j)))
        inverse[j][j] = 1.0 / chol[j][j]
        for i in range(j + 1, n):
            chol[i][j] = (a[i][j] - sum(chol[i][k] * chol[j][k] for k in range(j))) * inverse[j][j]
    for j in range(n):
        for i in range(j + 1, n):
            inverse[i][j] = -1.0 * inverse[i][i] * sum(chol[i][k] * inverse[k][j] for k in range(j, i))
    return inverse
