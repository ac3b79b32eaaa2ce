"""The log density of `ridgebayes.terms.TermsNormal`, and its slopes, in one pass over the ScWs.

Of each revolution the first pass sums what its coefficients need; the second, while its ScWs are in the
nearest cache, gives the derivatives, in closed form as in `ridgebayes.revolution`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from llvmlite import ir

from ridgebayes import coefficients
from ridgebayes.coefficients import Columns, Matrix, Solved
from ridgebayes.native.code import LANES, Array, Code, Number


class Kind(NamedTuple):
    """What the code must know of a `ridgebayes.terms.Term`.

    Attributes
    ----------
    columns
        How many it has; 0 for one everywhere.
    places
        Length of its table; 0 without one.
    """

    columns: int
    places: int


class Shape(NamedTuple):
    """What the code depends on; everything else it is told when it runs.

    Attributes
    ----------
    width
        ScWs a block, a multiple of `LANES`.
    basis
        Number J of coefficients of a revolution.
    mean, scatter
        Terms of the rates, and of the scatter beyond counting.
    correlated
        Whether the noise is (`ridgebayes.native.correlated`).
    slopes
        Whether derivatives are wanted.
    shares
        Threads among which the revolutions are shared.
    """

    width: int
    basis: int
    mean: tuple[Kind, ...]
    scatter: tuple[Kind, ...]
    correlated: bool
    slopes: bool
    shares: int = 1


class Term:
    """A term in memory, with room for its slopes."""

    def __init__(self, kind: Kind, of: Density) -> None:
        """Take the next operands and results."""
        self.kind = kind
        self.coefficient = of.operand(of.revolutions)
        self.column = of.operand(of.blocks, of.shape.width) if kind.columns else None
        if kind.places:
            self.table, self.place = of.operand(kind.places), of.code.integers(of.next_operand(), of.blocks)
        if of.shape.slopes:
            self.slope = of.result(of.revolutions)
            if kind.places:
                self.table_slope = of.result(of.bands, kind.places)

    def at(self, block: ir.Value, lane: int, number: int = 0) -> Number | float:
        """Return some lanes of a column."""
        if self.column is None:
            return 1.0
        return self.column.vector(number, block, lane)


class At(NamedTuple):
    """The band and revolution at hand, and the first of its blocks and the end of them."""

    band: ir.Value
    number: ir.Value
    first: ir.Value
    end: ir.Value


class Density:
    """Writer of the code for one shape.

    Operands: number of bands, blocks and revolutions (int64); block_revolution (int64) and filled (bool) as
    in `ridgebayes.revolution.RevolutionNormal`; rate and counting variance (band, block, width), basis (J,
    block, width), coef_sd (band, J, revolution); and of each term, as far as it has these: coefficient
    (band, revolution), columns, table (band, place) and place (column, block).

    Results, (band, revolution): what its terms and squares add to the log density; the product of the
    diagonal of L⁻¹; mantissa and exponent of the product of the variances. With slopes: by coef_sd; room for
    the ScWs of one revolution (2, block, width); and of each term by coefficient and, for each share,
    by table (share, band, place).
    """

    def __init__(self, shape: Shape, name: str) -> None:
        self.shape, self.code = shape, Code(name, shape.shares)
        self._operands = self._results = 0
        sizes = self.code.integers(self.next_operand())
        self.bands, self.blocks, self.revolutions = (sizes(i) for i in range(3))
        self.revolution_of = self.code.integers(self.next_operand())
        self.filled = self.code.flags(self.next_operand(), shape.width)
        self.rate, self.counting, self.basis = (self.operand(self.blocks, shape.width) for _ in range(3))
        self.sd = self.operand(shape.basis, self.revolutions)
        self.squares, self.determinant, self.mantissa, self.exponent = (
            self.result(self.revolutions) for _ in range(4)
        )
        if shape.slopes:
            self.slope_of_sd = self.result(shape.basis, self.revolutions)
        if shape.slopes or shape.correlated:
            self.room = self.result(self.blocks, shape.width)
        self.mean, self.scatter = (
            [Term(kind, self) for kind in kinds] for kinds in (shape.mean, shape.scatter)
        )

    def next_operand(self) -> int:
        """Count the operands."""
        self._operands += 1
        return self._operands - 1

    def operand(self, *shape: ir.Value | int) -> Array:
        """Return the next operand, whose axes after the first have these lengths."""
        return self.code.operand(self.next_operand(), *shape)

    def result(self, *shape: ir.Value | int) -> Array:
        """Return the next result."""
        self._results += 1
        return self.code.result(self._results - 1, *shape)

    def text(self) -> str:
        """Return the code, in LLVM's language."""
        code = self.code

        def one_band(band: ir.Value, _: list[Number]) -> list[Number]:
            if self.shape.slopes:
                for term in (*self.mean, *self.scatter):
                    for place in range(term.kind.places):
                        term.table_slope[code.share, band, place] = code.number(0.0)

            def one_revolution(number: ir.Value, first: list[Number]) -> list[Number]:
                same = lambda b: code.build.icmp_signed("==", self.revolution_of(b), number)  # noqa: E731
                end = code.skip(first[0].value, self.blocks, same)
                self._revolution(At(band, number, first[0].value, end))
                return [Number(code, end)]

            code.loop(self.first_revolution, end, [Number(code, self.first_block)], one_revolution)
            return []

        self.first_revolution, self.first_block = self._begin(code.share)
        end, _ = self._begin(code.build.add(code.share, code.integer(1)))
        code.loop(0, self.bands, [], one_band)
        return code.text()

    def _begin(self, share: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Return where a share begins, or the last ends: the revolution and its first block."""
        code = self.code
        block = code.build.sdiv(code.build.mul(share, self.blocks), code.integer(self.shape.shares))
        last = code.build.icmp_signed("==", share, code.integer(self.shape.shares))
        # The revolution in which an even division would fall, and all of it.
        inside = code.build.select(last, code.integer(0), block)
        number = code.build.select(last, self.revolutions, self.revolution_of(inside))
        first = code.build.icmp_signed("==", share, code.integer(0))
        number = code.build.select(first, code.integer(0), number)
        before = lambda b: code.build.icmp_signed("<", self.revolution_of(b), number)  # noqa: E731
        return number, code.skip(code.integer(0), self.blocks, before)

    def _revolution(self, at: At) -> None:
        """Write what is done for one revolution."""
        code, terms = self.code, range(self.shape.basis)
        sd = [self.sd[at.band, j, at.number] for j in terms]
        gram, projected, chi2 = self._sums(at)
        solved = coefficients.solve(gram, projected, sd, code.sqrt)
        self.squares[at.band, at.number] = 0.5 * (sum(f * f for f in solved.forward) - chi2)
        determinant = solved.inverse[0][0]
        for row in solved.inverse[1:]:
            determinant = determinant * row[-1]
        self.determinant[at.band, at.number] = determinant
        if self.shape.slopes:
            for j, slope in enumerate(coefficients.slope_of_sd(solved, gram, projected, sd)):
                self.slope_of_sd[at.band, j, at.number] = slope
            self._slopes(at, self._prepare_slopes(at, solved, sd))

    def _sums(self, at: At) -> tuple[Matrix, Columns, Number]:
        """Sum over the ScWs of a revolution: Φᵀ D⁻¹ Φ, Φᵀ D⁻¹ residual, and residualᵀ D⁻¹ residual."""
        code, terms = self.code, range(self.shape.basis)
        pairs = [(i, j) for i in terms for j in range(i + 1)]

        def one_block(block: ir.Value, before: list[Number]) -> list[Number]:
            *sums, mantissa, exponent = before
            for lane, residual, variance, weight in self._noise(at, block):
                basis = [self.basis.vector(j, block, lane) for j in terms]
                weighted = [weight * b for b in basis]
                new = [weighted[i] * basis[j] for i, j in pairs] + [w * residual for w in weighted]
                sums = [s + x for s, x in zip(sums, [*new, weight * residual * residual], strict=True)]
                mantissa, more = code.split(mantissa * variance)
                exponent = exponent + more
                if self.shape.slopes:
                    self.room.set_vector(0, self._row(at, block), lane, to=residual)
                    self.room.set_vector(1, self._row(at, block), lane, to=weight)
            return [*sums, mantissa, exponent]

        zero, one = code.vector(0.0), code.vector(1.0)
        start = [*[zero] * (len(pairs) + len(terms) + 1), one, zero]
        *sums, mantissa, exponent = code.loop(at.first, at.end, start, one_block)
        self._write_product(at, mantissa, exponent)
        *totals, chi2 = [code.total(s) for s in sums]
        gram = [[totals[pairs.index((i, j))] for j in range(i + 1)] for i in terms]
        return gram, totals[len(pairs) :], chi2

    def _write_product(self, at: At, mantissa: Number, exponent: Number) -> None:
        """Write the product of the variances, of whose lanes these are the parts."""
        self.mantissa[at.band, at.number] = self.code.product(mantissa)
        self.exponent[at.band, at.number] = self.code.total(exponent)

    def _noise(self, at: At, block: ir.Value) -> Iterator[tuple[int, Number, Number, Number]]:
        """Give residual, variance and weight of a block, lanes by lanes; 1 and 0 in empty cells."""
        code = self.code
        means = [
            (code.everywhere(self._coefficient(term, at, block, column)), term, column)
            for term in self.mean
            for column in range(max(1, term.kind.columns))
        ]
        scatters = [code.everywhere(term.coefficient[at.band, at.number]) for term in self.scatter]
        for lane in range(0, self.shape.width, LANES):
            residual = self.rate.vector(at.band, block, lane)
            for coefficient, term, column in means:
                residual = residual - coefficient * term.at(block, lane, column)
            variance = self.counting.vector(at.band, block, lane)
            for coefficient, term in zip(scatters, self.scatter, strict=True):
                own = coefficient * term.at(block, lane)
                variance = variance + own * own
            here = self.filled.true(block, lane)
            variance = code.where(here, variance, 1.0)
            yield lane, residual, variance, code.where(here, 1.0 / variance, 0.0)

    @staticmethod
    def _coefficient(term: Term, at: At, block: ir.Value, column: int) -> Number:
        """Return what a column is multiplied with in a block."""
        coefficient = term.coefficient[at.band, at.number]
        return (
            coefficient * term.table[at.band, term.place(column, block)] if term.kind.places else coefficient
        )

    def _prepare_slopes(self, at: At, solved: Solved, sd: Columns) -> Any:
        """Return what `_by_rate_and_variance` needs of the revolution's own coefficients.

        It is their mean and covariance, this off the diagonal twice, as vectors.
        """
        mean, covariance = coefficients.moments(solved, sd)
        twice = [
            [self.code.everywhere(x if i == j else 2.0 * x) for j, x in enumerate(row)]
            for i, row in enumerate(covariance)
        ]
        return [self.code.everywhere(x) for x in mean], twice

    def _by_rate_and_variance(
        self, at: At, block: ir.Value, lane: int, moments: Any
    ) -> tuple[Number, Number]:
        """Return the derivatives by rate and variance of some ScWs."""
        mean, twice = moments
        basis = [self.basis.vector(j, block, lane) for j in range(self.shape.basis)]
        after, weight = (self.room.vector(i, self._row(at, block), lane) for i in (0, 1))
        for m, b in zip(mean, basis, strict=True):
            after = after - m * b
        spread = [sum(c * b for c, b in zip(row, basis, strict=False)) for row in twice]
        explained = sum(s * b for s, b in zip(spread, basis, strict=True))
        return weight * after, 0.5 * weight * (weight * (after * after + explained) - 1.0)

    def _slopes(self, at: At, moments: Any) -> None:
        """Write the derivatives by coefficients and tables."""
        code, every = self.code, (*self.mean, *self.scatter)

        def one_block(block: ir.Value, before: list[Number]) -> list[Number]:
            lanes = range(0, self.shape.width, LANES)
            by_rate, by_variance = zip(
                *(self._by_rate_and_variance(at, block, lane, moments) for lane in lanes), strict=True
            )
            after = []
            for term, so_far in zip(every, before, strict=True):
                for column in range(max(1, term.kind.columns)):
                    x = [term.at(block, lane, column) for lane in lanes]
                    if term in self.mean:
                        here = sum(slope * y for slope, y in zip(by_rate, x, strict=True))
                    else:
                        here = sum(slope * y * y for slope, y in zip(by_variance, x, strict=True))
                    if term.kind.places:
                        so_far = so_far + self._looked_up(term, at, block, column, code.total(here))
                    else:
                        so_far = so_far + here
                after.append(so_far)
            return after

        start = [code.number(0.0) if term.kind.places else code.vector(0.0) for term in every]
        found = code.loop(at.first, at.end, start, one_block)
        for term, slope in zip(every, found, strict=True):
            total = slope if term.kind.places else code.total(slope)
            if term in self.scatter:
                total = 2.0 * term.coefficient[at.band, at.number] * total
            term.slope[at.band, at.number] = total

    def _looked_up(self, term: Term, at: At, block: ir.Value, column: int, by: Number) -> Number:
        """Add to the slope by an element of a table; return what goes to that by the coefficient."""
        place = at.band, term.place(column, block)
        slope = term.table_slope[self.code.share, *place]
        term.table_slope[self.code.share, *place] = slope + term.coefficient[at.band, at.number] * by
        return term.table[place] * by

    def _row(self, at: At, block: ir.Value) -> ir.Value:
        """Where a block stands in the room for one revolution: each share has its own."""
        return self.code.build.add(self.code.build.sub(block, at.first), self.first_block)
