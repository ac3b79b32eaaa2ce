"""The log density of `ridgebayes.terms.TermsNormal`, and its slopes, in one pass over the ScWs.

Of each revolution the first pass sums what its coefficients need; the second, while its ScWs are in the
nearest cache, gives the derivatives, in closed form as in `ridgebayes.revolution`.
"""

from __future__ import annotations

from typing import NamedTuple

from llvmlite import ir

from ridgebayes import coefficients
from ridgebayes.coefficients import Columns, Matrix
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
    slopes
        Whether derivatives are wanted.
    """

    width: int
    basis: int
    mean: tuple[Kind, ...]
    scatter: tuple[Kind, ...]
    slopes: bool


class _Term:
    """A term in memory, with room for its slopes."""

    def __init__(self, kind: Kind, of: Density) -> None:
        """Take the next operands and results."""
        self.kind, self.code = kind, of.code
        self.coefficient = of.operand(of.revolutions)
        self.column = of.operand(of.blocks, of.shape.width) if kind.columns else None
        if kind.places:
            self.table, self.place = of.operand(kind.places), of.code.integers(of.next_operand(), of.blocks)
        if of.shape.slopes:
            self.slope = of.result(of.revolutions)
            if kind.places:
                self.table_slope = of.result(kind.places)

    def at(self, block: ir.Value, lane: int, number: int = 0) -> Number | float:
        """Return some lanes of a column."""
        if self.column is None:
            return 1.0
        return self.column.vector(number, block, lane)

    def factor(self, band: ir.Value, block: ir.Value, number: int) -> Number:
        """Return what the table says for a column."""
        return self.table[band, self.place(number, block)]


class Density:
    """Writer of the code for one shape.

    Operands: number of bands, blocks and revolutions (int64); block_revolution (int64) and filled (bool) as
    in `ridgebayes.revolution.RevolutionNormal`; rate and counting variance (band, block, width), basis (J,
    block, width), coef_sd (band, J, revolution); and of each term, as far as it has these: coefficient
    (band, revolution), columns, table (band, place) and place (column, block).

    Results, (band, revolution): what its terms and squares add to the log density; the product of the
    diagonal of L⁻¹; mantissa and exponent of the product of the variances. With slopes: by coef_sd, room for
    the ScWs of one revolution (2, block, width), and of each term by coefficient and table.
    """

    def __init__(self, shape: Shape, name: str) -> None:
        self.shape, self.code = shape, Code(name)
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
            self.room = self.result(self.blocks, shape.width)
        self.mean, self.scatter = (
            [_Term(kind, self) for kind in kinds] for kinds in (shape.mean, shape.scatter)
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
                        term.table_slope[band, place] = code.number(0.0)

            def one_revolution(number: ir.Value, first: list[Number]) -> list[Number]:
                same = lambda b: code.build.icmp_signed("==", self.revolution_of(b), number)  # noqa: E731
                end = code.skip(first[0].value, self.blocks, same)
                self._revolution(band, number, first[0].value, end)
                return [Number(code, end)]

            code.loop(0, self.revolutions, [Number(code, code.integer(0))], one_revolution)
            return []

        code.loop(0, self.bands, [], one_band)
        return code.text()

    def _revolution(self, band: ir.Value, number: ir.Value, first: ir.Value, end: ir.Value) -> None:
        """Write what is done for the revolution whose blocks are first to end."""
        code, terms = self.code, range(self.shape.basis)
        gram, projected, chi2 = self._sums(band, number, first, end)
        sd = [self.sd[band, j, number] for j in terms]
        solved = coefficients.solve(gram, projected, sd, code.sqrt)
        self.squares[band, number] = 0.5 * (sum(f * f for f in solved.forward) - chi2)
        determinant = solved.inverse[0][0]
        for row in solved.inverse[1:]:
            determinant = determinant * row[-1]
        self.determinant[band, number] = determinant
        if self.shape.slopes:
            for j, slope in enumerate(coefficients.slope_of_sd(solved, gram, projected, sd)):
                self.slope_of_sd[band, j, number] = slope
            self._slopes(band, number, first, end, *coefficients.moments(solved, sd))

    def _sums(
        self, band: ir.Value, number: ir.Value, first: ir.Value, end: ir.Value
    ) -> tuple[Matrix, Columns, Number]:
        """Sum over the ScWs of a revolution: Φᵀ D⁻¹ Φ, Φᵀ D⁻¹ residual, and residualᵀ D⁻¹ residual."""
        code, terms = self.code, range(self.shape.basis)
        pairs = [(i, j) for i in terms for j in range(i + 1)]
        mean = [term.coefficient[band, number] for term in self.mean]
        scatter = [code.everywhere(term.coefficient[band, number]) for term in self.scatter]

        def one_block(block: ir.Value, before: list[Number]) -> list[Number]:
            *sums, mantissa, exponent = before
            by_column = [
                (code.everywhere(c * term.factor(band, block, s) if term.kind.places else c), term, s)
                for c, term in zip(mean, self.mean, strict=True)
                for s in range(term.kind.columns if term.kind.places else 1)
            ]
            for lane in range(0, self.shape.width, LANES):
                residual = self.rate.vector(band, block, lane)
                for c, term, s in by_column:
                    residual = residual - c * term.at(block, lane, s)
                variance = self.counting.vector(band, block, lane)
                for c, term in zip(scatter, self.scatter, strict=True):
                    own = c * term.at(block, lane)
                    variance = variance + own * own
                here = self.filled.true(block, lane)
                variance = code.where(here, variance, 1.0)
                weight = code.where(here, 1.0 / variance, 0.0)
                basis = [self.basis.vector(j, block, lane) for j in terms]
                weighted = [weight * b for b in basis]
                new = [weighted[i] * basis[j] for i, j in pairs] + [w * residual for w in weighted]
                sums = [s + x for s, x in zip(sums, [*new, weight * residual * residual], strict=True)]
                mantissa, more = code.split(mantissa * variance)
                exponent = exponent + more
                if self.shape.slopes:
                    self.room.set_vector(0, self._since(block, first), lane, to=residual)
                    self.room.set_vector(1, self._since(block, first), lane, to=weight)
            return [*sums, mantissa, exponent]

        zero, one = code.vector(0.0), code.vector(1.0)
        start = [*[zero] * (len(pairs) + len(terms) + 1), one, zero]
        *sums, mantissa, exponent = code.loop(first, end, start, one_block)
        self.mantissa[band, number] = code.product(mantissa)
        self.exponent[band, number] = code.total(exponent)
        *totals, chi2 = [code.total(s) for s in sums]
        gram = [[totals[pairs.index((i, j))] for j in range(i + 1)] for i in terms]
        return gram, totals[len(pairs) :], chi2

    def _slopes(
        self,
        band: ir.Value,
        number: ir.Value,
        first: ir.Value,
        end: ir.Value,
        mean: Columns,
        covariance: Matrix,
    ) -> None:
        """Write the derivatives by coefficients and tables, given the moments of the revolution's terms."""
        code = self.code
        mean = [code.everywhere(x) for x in mean]
        twice = [[code.everywhere(x if i == j else 2.0 * x) for j, x in enumerate(row)]
                 for i, row in enumerate(covariance)]  # fmt: skip

        def one_block(block: ir.Value, before: list[Number]) -> list[Number]:
            by_rate, by_variance = zip(*(
                self._of_lanes(block, self._since(block, first), lane, mean, twice)
                for lane in range(0, self.shape.width, LANES)
            ), strict=True)  # fmt: skip
            after = []
            for term, so_far in zip((*self.mean, *self.scatter), before, strict=True):
                by = by_variance if term in self.scatter else by_rate
                for column in range(max(1, term.kind.columns)):
                    x = [term.at(block, LANES * i, column) for i in range(len(by))]
                    if term in self.scatter:
                        x = [y * y for y in x]
                    here = sum(slope * y for slope, y in zip(by, x, strict=True))
                    if term.kind.places:
                        so_far = so_far + self._looked_up(term, band, number, block, column, code.total(here))
                    else:
                        so_far = so_far + here
                after.append(so_far)
            return after

        every = (*self.mean, *self.scatter)
        start = [code.number(0.0) if term.kind.places else code.vector(0.0) for term in every]
        found = code.loop(first, end, start, one_block)
        for term, slope in zip(every, found, strict=True):
            total = slope if term.kind.places else code.total(slope)
            if term in self.scatter:
                total = 2.0 * term.coefficient[band, number] * total
            term.slope[band, number] = total

    def _of_lanes(
        self, block: ir.Value, row: ir.Value, lane: int, mean: Columns, twice: Matrix
    ) -> tuple[Number, Number]:
        """Return the derivatives by rate and variance of some ScWs."""
        basis = [self.basis.vector(j, block, lane) for j in range(self.shape.basis)]
        after, weight = self.room.vector(0, row, lane), self.room.vector(1, row, lane)
        for m, b in zip(mean, basis, strict=True):
            after = after - m * b
        spread = [sum(c * b for c, b in zip(row_of, basis, strict=False)) for row_of in twice]
        explained = sum(s * b for s, b in zip(spread, basis, strict=True))
        return weight * after, 0.5 * weight * (weight * (after * after + explained) - 1.0)

    def _looked_up(
        self, term: _Term, band: ir.Value, number: ir.Value, block: ir.Value, column: int, by: Number
    ) -> Number:
        """Add to the slope by an element of a table; return what goes to that by the coefficient."""
        place = term.place(column, block)
        slope = term.table_slope[band, place]
        term.table_slope[band, place] = slope + term.coefficient[band, number] * by
        return term.table[band, place] * by

    def _since(self, block: ir.Value, first: ir.Value) -> ir.Value:
        return self.code.build.sub(block, first)
