"""The same density with an Ornstein-Uhlenbeck process in each revolution, as in `ridgebayes.correlated`.

Kalman's filter goes through the ScWs of a revolution in order of time, for residual and basis at once; the
derivatives come from the same filter run backwards.
"""

from __future__ import annotations

from typing import NamedTuple

from llvmlite import ir

from ridgebayes.coefficients import Columns, Matrix, Solved, moments
from ridgebayes.native.code import LANES, Number
from ridgebayes.native.density import At, Density, Shape


class _ScW(NamedTuple):
    """A ScW in the filter."""

    step: ir.Value  # in the room for the path
    cell: ir.Value  # in the room for the ScWs
    decay: Number  # correlation with the ScW before
    observed: list[Number]  # residual and basis
    weight: Number


class CorrelatedDensity(Density):
    """Writer of the code for one shape.

    Operands in addition: number of ScWs beside the other sizes; sd of the process (band, revolution); its
    correlation with the ScW before (band, scw), zero for the first of a revolution; where each revolution
    begins among the ScWs, and the end, (revolution + 1), and the cell of each ScW in the flattened blocks
    (scw), int64, in order of time.

    Results in addition: room for the path of the filter in one revolution (scw, J + 2); with slopes those by
    sd and by correlation.
    """

    def __init__(self, shape: Shape, name: str) -> None:
        super().__init__(shape, name)
        code = self.code
        cells = code.build.mul(self.blocks, code.integer(shape.width))
        self.flat_room, self.flat_basis = self.room.reshaped(cells), self.basis.reshaped(cells)
        scws = code.integers(0)(3)
        self.process_sd, self.decay = self.operand(self.revolutions), self.operand(scws)
        self.start, self.cell = (code.integers(self.next_operand()) for _ in range(2))
        self.path = self.result(shape.basis + 2)
        if shape.slopes:
            self.slope_of_process, self.slope_of_decay = self.result(self.revolutions), self.result(scws)

    @property
    def first_scw(self) -> ir.Value:
        """The first of this share: where its room for the path is."""
        return self.start(self.first_revolution)

    def _sums(self, at: At) -> tuple[Matrix, Columns, Number]:
        """Sum as the white density does, with the inverse of the whole covariance in place of D⁻¹."""
        self._keep_noise(at)
        sums = self._forwards(at)
        self._determine(at)
        terms = range(self.shape.basis)
        gram = [[sums[i + 1, j + 1] for j in range(i + 1)] for i in terms]
        return gram, [sums[j + 1, 0] for j in terms], sums[0, 0]

    def _keep_noise(self, at: At) -> None:
        """Put residuals, weights, and ones into the room."""

        def one_block(block: ir.Value, _: list[Number]) -> list[Number]:
            row = self._row(at, block)
            for lane, residual, _variance, weight in self._noise(at, block):
                here = self.filled.true(block, lane)
                self.room.set_vector(0, row, lane, to=self.code.where(here, residual, 0.0))
                self.room.set_vector(1, row, lane, to=weight)
                self.room.set_vector(2, row, lane, to=self.code.vector(1.0))
            return []

        self.code.loop(at.first, at.end, [], one_block)

    def _scw(self, at: At, number: ir.Value) -> _ScW:
        code = self.code
        moved = code.build.mul(code.build.sub(at.first, self.first_block), code.integer(self.shape.width))
        cell = self.cell(number)
        here = code.build.sub(cell, moved)
        return _ScW(
            code.build.add(code.build.sub(number, self.start(at.number)), self.first_scw),
            here,
            self.decay[at.band, number],
            [self.flat_room[0, here], *(self.flat_basis[j, cell] for j in range(self.shape.basis))],
            self.flat_room[1, here],
        )

    def _scws(self, at: At) -> tuple[ir.Value, ir.Value]:
        """Return the first ScW of a revolution and the end of them."""
        return self.start(at.number), self.start(self.code.build.add(at.number, self.code.integer(1)))

    def _stationary(self, at: At) -> Number:
        """Return the variance of the process."""
        sd = self.process_sd[at.band, at.number]
        return sd * sd

    def _forwards(self, at: At) -> dict[tuple[int, int], Number]:
        """Filter; return the sums over products of what is new, weighted: of residual and basis."""
        code, columns = self.code, range(self.shape.basis + 1)
        pairs = [(i, j) for i in columns for j in range(i + 1)]
        stationary = self._stationary(at)

        def one_scw(number: ir.Value, carried: list[Number]) -> list[Number]:
            scw = self._scw(at, number)
            mean, (spread, *sums) = carried[: len(columns)], carried[len(columns) :]
            for i in columns:
                self.path[scw.step, i] = mean[i]
            self.path[scw.step, len(columns)] = spread
            predicted = [scw.decay * m for m in mean]
            variance = stationary + scw.decay * scw.decay * (spread - stationary)
            unknown = 1.0 / (variance * scw.weight + 1.0)
            self.flat_room[2, scw.cell] = unknown
            gain, inverse = variance * scw.weight * unknown, scw.weight * unknown
            new = [x - p for x, p in zip(scw.observed, predicted, strict=True)]
            mean = [p + gain * x for p, x in zip(predicted, new, strict=True)]
            scaled = [inverse * x for x in new]
            sums = [s + scaled[i] * new[j] for s, (i, j) in zip(sums, pairs, strict=True)]
            return [*mean, variance * unknown, *sums]

        zero = code.number(0.0)
        start = [*[zero] * len(columns), stationary, *[zero] * len(pairs)]
        found = code.loop(*self._scws(at), start, one_scw)
        return dict(zip(pairs, found[len(columns) + 1 :], strict=True))

    def _determine(self, at: At) -> None:
        """Write the product of the variances of what is new."""
        code = self.code

        def one_block(block: ir.Value, before: list[Number]) -> list[Number]:
            mantissa, exponent = before
            for lane in range(0, self.shape.width, LANES):
                weight, unknown = (self.room.vector(i, self._row(at, block), lane) for i in (1, 2))
                variance = code.where(self.filled.true(block, lane), 1.0 / (weight * unknown), 1.0)
                mantissa, more = code.split(mantissa * variance)
                exponent = exponent + more
            return [mantissa, exponent]

        start = [code.vector(1.0), code.vector(0.0)]
        self._write_product(at, *code.loop(at.first, at.end, start, one_block))

    def _prepare_slopes(self, at: At, solved: Solved, sd: Columns) -> None:
        """Leave the derivatives by rate and variance of each ScW in the room, by the filter run backwards.

        As in `ridgebayes.correlated`: with root a root of the covariance of the coefficients, residual − Φ c
        and Φ root are columns like any; `pull` is the derivative by the filtered mean of each of them.
        """
        code, terms = self.code, range(self.shape.basis)
        mean, _ = moments(solved, sd)
        stationary = self._stationary(at)

        def mixed(columns: list[Number]) -> list[Number]:
            """Residual − Φ c, and Φ root, of residual and Φ."""
            after = columns[0]
            for m, b in zip(mean, columns[1:], strict=True):
                after = after - m * b
            rooted = [sum(sd[i] * solved.inverse[j][i] * columns[i + 1] for i in range(j + 1)) for j in terms]
            return [after, *rooted]

        start, stop = self._scws(at)

        def one_scw(back: ir.Value, carried: list[Number]) -> list[Number]:
            number = code.build.sub(code.build.sub(stop, code.integer(1)), code.build.sub(back, start))
            scw = self._scw(at, number)
            *pull, information, process = carried
            before = mixed([self.path[scw.step, i] for i in range(self.shape.basis + 1)])
            spread = self.path[scw.step, self.shape.basis + 1]
            variance = stationary + scw.decay * scw.decay * (spread - stationary)
            unknown = self.flat_room[2, scw.cell]
            gain, inverse = variance * scw.weight * unknown, scw.weight * unknown
            new = [x - scw.decay * m for x, m in zip(mixed(scw.observed), before, strict=True)]
            solution = [inverse * x - gain * p for x, p in zip(new, pull, strict=True)]
            by_mean = [x + p for x, p in zip(solution, pull, strict=True)]
            diagonal = inverse + gain * gain * information
            information = inverse + unknown * unknown * information
            slope = 0.5 * (sum(x * x for x in by_mean) - information)
            process = process + slope * (1.0 - scw.decay * scw.decay)
            by_decay = 2.0 * slope * scw.decay * (spread - stationary)
            by_decay = by_decay + sum(x * m for x, m in zip(by_mean, before, strict=True))
            self.slope_of_decay[at.band, number] = by_decay
            self.flat_room[0, scw.cell] = solution[0]
            self.flat_room[1, scw.cell] = 0.5 * (sum(x * x for x in solution) - diagonal)
            pull = [scw.decay * x for x in by_mean]
            return [*pull, scw.decay * scw.decay * information, process]

        *_, process = code.loop(start, stop, [code.number(0.0)] * (self.shape.basis + 3), one_scw)
        self.slope_of_process[at.band, at.number] = 2.0 * self.process_sd[at.band, at.number] * process

    def _by_rate_and_variance(self, at: At, block: ir.Value, lane: int, _: object) -> tuple[Number, Number]:
        """Return the derivatives by rate and variance of some ScWs."""
        row = self._row(at, block)
        return self.room.vector(0, row, lane), self.room.vector(1, row, lane)
