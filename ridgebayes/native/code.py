"""Machine code from formulas: numbers, vectors, arrays and loops of one function that XLA can call.

Arithmetic on a `Number` is written down, not done; LLVM (by llvmlite) makes machine code of it for the CPU at
hand.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import llvmlite.binding as llvm
from llvmlite import ir

from ridgebayes.native import handler

LANES = 8
"""Numbers in a vector; LLVM splits it where the CPU has shorter ones."""

_F64, _I64, _I32, _I8 = ir.DoubleType(), ir.IntType(64), ir.IntType(32), ir.IntType(8)
_VECTOR, _BITS = ir.VectorType(_F64, LANES), ir.VectorType(_I64, LANES)
_POINTER = _I8.as_pointer()
_CONTRACT = ("contract",)  # a product and a sum may become one instruction
_REORDER = ("reassoc", "contract")  # lanes of a vector are added in any order


class Number:
    """A number or vector of a function in the making; on the other side of an operation may be a float."""

    def __init__(self, code: Code, value: ir.Value) -> None:
        self.code, self.value = code, value

    def _same(self, other: Number | float) -> ir.Value:
        if isinstance(other, Number):
            return other.value
        vector = isinstance(self.value.type, ir.VectorType)
        return ir.Constant(self.value.type, [float(other)] * LANES if vector else float(other))

    def __add__(self, other: Number | float) -> Number:
        # Sums begin with Python's zero.
        if not isinstance(other, Number) and other == 0:
            return self
        return Number(self.code, self.code.build.fadd(self.value, self._same(other), flags=_CONTRACT))

    __radd__ = __add__

    def __sub__(self, other: Number | float) -> Number:
        return Number(self.code, self.code.build.fsub(self.value, self._same(other), flags=_CONTRACT))

    def __rsub__(self, other: float) -> Number:
        return Number(self.code, self.code.build.fsub(self._same(other), self.value, flags=_CONTRACT))

    def __mul__(self, other: Number | float) -> Number:
        return Number(self.code, self.code.build.fmul(self.value, self._same(other), flags=_CONTRACT))

    __rmul__ = __mul__

    def __truediv__(self, other: Number | float) -> Number:
        return Number(self.code, self.code.build.fdiv(self.value, self._same(other)))

    def __rtruediv__(self, other: float) -> Number:
        return Number(self.code, self.code.build.fdiv(self._same(other), self.value))


Index: TypeAlias = ir.Value | int
"""Of an array: known now, or a number of the function."""


class Array:
    """An array in memory, row after row.

    Parameters
    ----------
    code
        The function.
    pointer
        To its first element.
    shape
        All axes but the first, whose length nothing needs.
    """

    def __init__(self, code: Code, pointer: ir.Value, *shape: Index) -> None:
        self.code, self.pointer, self.shape = code, pointer, shape

    def _at(self, index: tuple[Index, ...]) -> ir.Value:
        offset = self.code.integer(index[0])
        for i, length in zip(index[1:], self.shape, strict=True):
            offset = self.code.build.mul(offset, self.code.integer(length))
            offset = self.code.build.add(offset, self.code.integer(i))
        return self.code.build.gep(self.pointer, [offset])

    def _vector_at(self, index: tuple[Index, ...], of: ir.Type) -> ir.Value:
        return self.code.build.bitcast(self._at(index), of.as_pointer())

    def __getitem__(self, index: tuple[Index, ...]) -> Number:
        return Number(self.code, self.code.build.load(self._at(index)))

    def __setitem__(self, index: tuple[Index, ...], x: Number) -> None:
        self.code.build.store(x.value, self._at(index))

    def reshaped(self, *shape: Index) -> Array:
        """Return the same elements with other lengths of the axes after the first."""
        return Array(self.code, self.pointer, *shape)

    def vector(self, *index: Index) -> Number:
        """Elements from an index on, as many as a vector has."""
        return Number(self.code, self.code.build.load(self._vector_at(index, _VECTOR), align=8))

    def set_vector(self, *index: Index, to: Number) -> None:
        """Store a vector from an index on."""
        self.code.build.store(to.value, self._vector_at(index, _VECTOR), align=8)

    def true(self, *index: Index) -> ir.Value:
        """Truth of each of a vector of booleans."""
        flags = self.code.build.load(self._vector_at(index, ir.VectorType(_I8, LANES)), align=1)
        return self.code.build.icmp_unsigned("!=", flags, ir.Constant(flags.type, [0] * LANES))


class Code:
    """One function in the making, ``name(frame)``, between whose operands and results formulas stand.

    Parameters
    ----------
    name
        Its name.
    shares
        Threads that run the formulas, each with a `share` of its own, 0 to shares − 1.
    """

    def __init__(self, name: str, shares: int = 1) -> None:
        self.name, self.shares, self._module = name, shares, ir.Module()
        void = ir.FunctionType(ir.VoidType(), [_POINTER, _I64])
        self._function = ir.Function(self._module, void, f"{name}_share")
        self.build = ir.IRBuilder(self._function.append_basic_block())
        frame, self.share = self._function.args
        self._operands, self._results = (
            handler.operands(self.build, frame),
            handler.results(self.build, frame),
        )

    def operand(self, number: int, *shape: Index) -> Array:
        """Return an operand of float64, whose axes after the first have these lengths."""
        return Array(self, handler.data(self.build, self._operands, number, _F64), *shape)

    def flags(self, number: int, *shape: Index) -> Array:
        """Return an operand of booleans."""
        return Array(self, handler.data(self.build, self._operands, number, _I8), *shape)

    def integers(self, number: int, *shape: Index) -> Callable[..., ir.Value]:
        """Return an operand of int64: a function of the index."""
        integers = Array(self, handler.data(self.build, self._operands, number, _I64), *shape)
        return lambda *index: integers[index].value

    def result(self, number: int, *shape: Index) -> Array:
        """Return a result, float64."""
        return Array(self, handler.data(self.build, self._results, number, _F64), *shape)

    def integer(self, i: Index) -> ir.Value:
        """Return an index as a number of the function."""
        return ir.Constant(_I64, i) if isinstance(i, int) else i

    def number(self, x: float) -> Number:
        """Return a number known now."""
        return Number(self, ir.Constant(_F64, x))

    def vector(self, x: float) -> Number:
        """Return a vector of equal numbers, known now."""
        return Number(self, ir.Constant(_VECTOR, [x] * LANES))

    def everywhere(self, x: Number) -> Number:
        """Return a vector of equal numbers."""
        nothing = ir.Constant(_VECTOR, ir.Undefined)
        first = self.build.insert_element(nothing, x.value, ir.Constant(_I32, 0))
        order = ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES)
        return Number(self, self.build.shuffle_vector(first, nothing, order))

    def where(self, which: ir.Value, x: Number, otherwise: float) -> Number:
        """Choose for each lane."""
        return Number(self, self.build.select(which, x.value, self.vector(otherwise).value))

    def sqrt(self, x: Number) -> Number:
        """Return the square root of a number."""
        return Number(self, self.build.call(self._intrinsic("llvm.sqrt.f64", _F64, _F64), [x.value]))

    def total(self, x: Number) -> Number:
        """Add the lanes of a vector up."""
        add = self._intrinsic(f"llvm.vector.reduce.fadd.v{LANES}f64", _F64, _F64, _VECTOR)
        return Number(self, self.build.call(add, [ir.Constant(_F64, -0.0), x.value], fastmath=_REORDER))

    def product(self, x: Number) -> Number:
        """Multiply the lanes of a vector."""
        multiply = self._intrinsic(f"llvm.vector.reduce.fmul.v{LANES}f64", _F64, _F64, _VECTOR)
        return Number(self, self.build.call(multiply, [ir.Constant(_F64, 1.0), x.value], fastmath=_REORDER))

    def split(self, x: Number) -> tuple[Number, Number]:
        """Split a vector of positive numbers into mantissas, 1 to 2, and exponents of two."""
        every = lambda i: ir.Constant(_BITS, [i] * LANES)  # noqa: E731
        bits = self.build.bitcast(x.value, _BITS)
        mantissa = self.build.or_(self.build.and_(bits, every((1 << 52) - 1)), every(1023 << 52))
        # A small integer in the last bits of 2^52 is a number without a conversion.
        raised = self.build.or_(self.build.lshr(bits, every(52)), every((1023 + 52) << 52))
        as_numbers = [Number(self, self.build.bitcast(of, _VECTOR)) for of in (mantissa, raised)]
        return as_numbers[0], as_numbers[1] - (2.0**52 + 1023)

    def _intrinsic(self, name: str, result: ir.Type, *operands: ir.Type) -> ir.Function:
        return handler.declared(self._module, name, result, *operands)

    def loop(
        self,
        start: Index,
        stop: Index,
        carried: Sequence[Number],
        body: Callable[[ir.Value, list[Number]], Sequence[Number]],
    ) -> list[Number]:
        """Run a body for indices from start to stop; numbers it carries from one to the next are returned."""
        build = self.build
        head, inside, after = (self._function.append_basic_block() for _ in range(3))
        start, stop, before = self.integer(start), self.integer(stop), build.block
        build.branch(head)
        build.position_at_end(head)
        index = build.phi(_I64)
        index.add_incoming(start, before)
        now = [build.phi(x.value.type) for x in carried]
        for phi, x in zip(now, carried, strict=True):
            phi.add_incoming(x.value, before)
        build.cbranch(build.icmp_signed("<", index, stop), inside, after)
        build.position_at_end(inside)
        then = body(index, [Number(self, phi) for phi in now])
        index.add_incoming(build.add(index, self.integer(1)), build.block)
        for phi, x in zip(now, then, strict=True):
            phi.add_incoming(x.value, build.block)
        build.branch(head)
        build.position_at_end(after)
        return [Number(self, phi) for phi in now]

    def skip(self, start: ir.Value, stop: Index, test: Callable[[ir.Value], ir.Value]) -> ir.Value:
        """Return the first index from start on, or else stop, for which a test is not true."""
        build = self.build
        head, look, on, after = (self._function.append_basic_block() for _ in range(4))
        before = build.block
        build.branch(head)
        build.position_at_end(head)
        index = build.phi(_I64)
        index.add_incoming(start, before)
        build.cbranch(build.icmp_signed("<", index, self.integer(stop)), look, after)
        build.position_at_end(look)
        build.cbranch(test(index), on, after)
        build.position_at_end(on)
        index.add_incoming(build.add(index, self.integer(1)), on)
        build.branch(head)
        build.position_at_end(after)
        return index

    def text(self) -> str:
        """End the function, and return it as LLVM's language."""
        self.build.ret_void()
        handler.add_handler(self._function, self.name, self.shares)
        return str(self._module)


_KEPT: list[llvm.ExecutionEngine] = []
"""Machine code lives as long as the process."""


def machine_code(text: str, name: str) -> Any:
    """Make machine code of a function in LLVM's language, for the CPU at hand."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    module = llvm.parse_assembly(text)
    module.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=3)
    builder = llvm.create_pass_builder(target, tuning)
    builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, target)
    engine.finalize_object()
    _KEPT.append(engine)
    return ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(engine.get_function_address(name))
