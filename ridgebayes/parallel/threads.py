"""Work on several parts side by side in threads of this process: for compiled code, which lets others run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ridgebayes.parallel.cores import cores

Result = TypeVar("Result")


def in_threads(work: Callable[..., Result], *arguments: Iterable[Any]) -> list[Result]:
    """Call ``work`` as `map` does, the first time alone: it compiles what the others use.

    >>> in_threads(divmod, [7, 8, 9], [2, 3, 4])
    [(3, 1), (2, 2), (2, 1)]
    """
    first, *others = zip(*arguments, strict=True)
    found = [work(*first)]
    with ThreadPoolExecutor(cores()) as pool:
        return found + list(pool.map(lambda given: work(*given), others))
