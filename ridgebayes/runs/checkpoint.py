"""The folder `checkpoint` of an unfinished run: the record of the fit, and the progress of every chain.

Every file in it is written whole or not at all, so that a process may end at any moment.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from ridgebayes.errors import InputError
from ridgebayes.inference.emulator import Emulator
from ridgebayes.inference.kernels import Draws, Progress
from ridgebayes.inference.metropolis import Pace
from ridgebayes.inference.mode import Gaussian
from ridgebayes.inference.proposal import Proposal
from ridgebayes.inference.sampler import Start
from ridgebayes.instrument.response import ImageResponse, Response
from ridgebayes.io.atomic import whole_file
from ridgebayes.runs.run import CHECKPOINT, RECORD
from ridgebayes.runs.runfiles import read_record

LOCK, RESPONSE = "lock", "response.npz"
_STATE, _STATISTIC, _EMULATOR, _FRAME = "state_", "statistic_", "emulator_", "frame_"


class Checkpoint:
    """A run directory that is being sampled, locked by one process at a time.

    Parameters
    ----------
    run
        The run directory.

    Raises
    ------
    InputError
        When another process has it, or it cannot be written.
    """

    def __init__(self, run: Path) -> None:
        self.run, self.folder = run, run / CHECKPOINT
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.folder / LOCK)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"{run}: another process is sampling into it: wait, or choose another place"
            ) from None
        except OSError as error:
            raise InputError(f"{run}: cannot be written ({error.strerror}): choose another place") from error

    @classmethod
    def begin(cls, run: Path, record: Mapping[str, Any], response: Response) -> Checkpoint:
        """Start a new run, and remove the files of an unfinished one."""
        new = cls(run)
        for old in new.folder.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
            elif old.name != LOCK:
                old.unlink()
        if isinstance(response, ImageResponse):
            parts = {"image": response.image, "scale": response.scale_deg, "centre": response.centre}
            new._write(RESPONSE, parts)
        text = tomlkit.dumps(record)
        with new._whole(RECORD) as path:
            path.write_text(text, encoding="utf-8")
        return new

    @classmethod
    def open(cls, run: Path) -> Checkpoint:
        """Open the checkpoint of an unfinished run.

        Raises
        ------
        InputError
            If there is none.
        """
        if not (run / CHECKPOINT / RECORD).is_file():
            state = "is complete" if (run / RECORD).is_file() else "is no unfinished run"
            raise InputError(f"{run}: {state}: there is nothing to resume")
        return cls(run)

    @property
    def record(self) -> dict[str, Any]:
        """Record of model, data and settings (see `ridgebayes.runs.metadata`)."""
        return read_record(self.folder / RECORD, whole=True)

    @property
    def response(self) -> ImageResponse | None:
        """The measured response; None if the fit uses another."""
        kept = self._read(RESPONSE)
        if kept is None:
            return None
        x, y = kept["centre"]
        return ImageResponse(kept["image"], float(kept["scale"]), (float(x), float(y)))

    def start(self, part: int) -> Start | None:
        """Return the start of the chains of a part; None if it is not known yet."""
        kept = self._read(f"start-{part}.npz")
        if kept is None:
            return None
        proposal = Proposal(*(kept[name] for name in Proposal._fields)) if "degrees" in kept else None
        around = Gaussian(kept["around_mode"], kept["around_root"])
        tries, *shares = kept["pace"].tolist()
        pace = Pace(int(tries), *shares)
        emulator = None
        if f"{_EMULATOR}coefficients" in kept:
            frame = Proposal(*(kept[f"{_FRAME}{name}"] for name in Proposal._fields))
            emulator = Emulator(frame, *(kept[f"{_EMULATOR}{name}"] for name in Emulator._fields[1:]))
        hit = kept.get("hit")
        dropped = int(kept.get("dropped", 0))
        return Start(str(kept["method"]), kept["reference"], around, proposal, hit, pace, emulator, dropped)

    def save_start(self, part: int, start: Start) -> None:
        """Keep the start of the chains of a part."""
        more: dict[str, Any] = start.proposal._asdict() if start.proposal else {}
        more |= {} if start.hit is None else {"hit": start.hit}
        if start.emulator is not None:
            frame, *others = start.emulator
            more |= {f"{_FRAME}{name}": value for name, value in frame._asdict().items()}
            more |= {f"{_EMULATOR}{n}": x for n, x in zip(Emulator._fields[1:], others, strict=True)}
        more |= {"around_mode": start.around.mode, "around_root": start.around.root, "pace": start.pace}
        more |= {"dropped": start.dropped}
        self._write(f"start-{part}.npz", {"method": start.method, "reference": start.reference, **more})

    def chain(self, part: int, number: int) -> Progress | None:
        """Return the progress of a chain; None if it has not started."""
        kept = self._read(f"chain-{part}-{number}.npz")
        if kept is None:
            return None
        state = [kept[f"{_STATE}{k}"] for k in range(sum(name.startswith(_STATE) for name in kept))]
        statistics = {n.removeprefix(_STATISTIC): x for n, x in kept.items() if n.startswith(_STATISTIC)}
        draws = [Draws(kept["z"], statistics)] if len(kept["z"]) else []
        return Progress(int(kept["warmed"]), draws, state)

    def save_chain(self, part: int, number: int, progress: Progress) -> None:
        """Keep the progress of a chain."""
        names = progress.draws[0].statistics if progress.draws else ()
        z = np.concatenate([d.z for d in progress.draws]) if progress.draws else np.zeros((0, 0))
        statistics = {
            f"{_STATISTIC}{n}": np.concatenate([d.statistics[n] for d in progress.draws]) for n in names
        }
        state = {f"{_STATE}{k}": leaf for k, leaf in enumerate(progress.state)}
        self._write(f"chain-{part}-{number}.npz", {"warmed": progress.warmed, "z": z, **statistics, **state})

    def close(self, *, remove: bool = False) -> None:
        """Release the directory; with `remove`, also delete the checkpoint."""
        self._lock.release()
        if remove:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, name: str, arrays: Mapping[str, Any]) -> None:
        with self._whole(name) as path, path.open("wb") as file:
            np.savez(file, **arrays)

    def _read(self, name: str) -> dict[str, NDArray] | None:
        path = self.folder / name
        if not path.is_file():
            return None
        try:
            # NumPy would leave the file open if it turns out not to be a zip file.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                return dict(kept)
        except Exception as error:  # whatever zip and npy readers do with a broken file
            raise InputError(f"{path}: cannot be read ({error}): fit again with overwrite=True") from error

    def _whole(self, name: str):
        return whole_file(self.folder / name)
