"""Where tasks run, as users give it: ``local``, ``local:N`` or the address of a Dask scheduler."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ridgebayes.errors import InputError
from ridgebayes.parallel.cores import cores

LOCAL = "local"


@dataclass(frozen=True)
class Scheduler:
    """Where tasks run.

    Attributes
    ----------
    address
        Address of a Dask scheduler, or its scheduler file; empty for this machine.
    processes
        Number of processes on this machine; None if it was not given.
    """

    address: str = ""
    processes: int | None = None

    @classmethod
    def of(cls, text: str | None) -> Scheduler:
        """Parse the text that a user gives.

        Raises
        ------
        InputError
            If it is neither ``local`` nor ``local:N`` nor an address.

        Examples
        --------
        >>> Scheduler.of("local:4")
        Scheduler(address='', processes=4)
        """
        text = LOCAL if text is None else text.strip()
        kind, colon, number = text.partition(":")
        if kind == LOCAL and not colon:
            return cls()
        if kind == LOCAL and number.isdecimal() and int(number) > 0:
            return cls(processes=int(number))
        if kind == LOCAL or not (colon or Path(text).is_file()):
            raise InputError(
                f"scheduler='{text}': give local, local:N for N processes here, or the address of a Dask "
                "scheduler (tcp://HOST:PORT) or its scheduler file"
            )
        return cls(address=text)

    @property
    def here(self) -> bool:
        """Tell whether tasks may run in this process."""
        return not self.address and self.processes in (None, 1)

    def workers(self, tasks: int) -> int:
        """Return the number of processes of this machine for `tasks` tasks."""
        return max(1, min(self.processes or cores(), tasks))
