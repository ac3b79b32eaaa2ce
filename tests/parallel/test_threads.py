"""Work side by side in threads."""

from threading import Barrier

import pytest

from ridgebayes.parallel.cores import share
from ridgebayes.parallel.threads import in_threads


def test_all_but_the_first_run_side_by_side_and_keep_their_order():
    """Two that wait for each other would not end one after the other."""
    both = Barrier(2, timeout=60)

    def work(number, name):
        if number:
            both.wait()
        return f"{name}{number}"

    with share(2):
        assert in_threads(work, range(3), "abc") == ["a0", "b1", "c2"]


def test_an_error_comes_out():
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda x: 1 // x, [1, 1, 0])
