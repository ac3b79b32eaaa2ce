"""The likelihood as machine code of our own, for CPUs: one pass over the ScWs.

XLA reads every array once for each sum that it is part of, and sums short rows slowly. Here each revolution
is gone through while it is in the nearest cache, twice: for the sums, and for the derivatives. `code` is a
small language for numbers, vectors and loops; `density` writes the formulas in it; `call` is how JAX calls
the result. Everything is tested against the plain form, which other devices use.
"""
