"""Build a model by running a user's Python file, which defines ``model(sky)``."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from ridgebayes.errors import InputError
from ridgebayes.model import Model
from ridgebayes.sky import Sky

CONTRACT = "a model file defines a function `model(sky)` that returns a ridgebayes.model.Model"


def from_file(path: str | Path) -> Callable[..., Model]:
    """Run a user's model file and return its builder (see `from_source`).

    Raises
    ------
    InputError
        If the file cannot be read, and as in `from_source`.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text in UTF-8"
        raise InputError(f"{path}: cannot be read ({reason}): give a Python file with a model") from error
    return from_source(text, str(path))


def from_source(text: str, name: str) -> Callable[..., Model]:
    """Run the text of a model file and return its builder.

    Parameters
    ----------
    text
        Python that defines ``model(sky)``. It may import installed packages, but no files beside it, because
        a run keeps a copy of this text only.
    name
        Name of the file, for messages.

    Returns
    -------
    Callable
        ``build(sky, **options)``, which returns the model with the text as its `source`; options replace its
        own.

    Raises
    ------
    InputError
        If the text is not valid Python, fails or defines no ``model``, or if ``model`` does not return a
        model. The message has the line number if there is one.

    Examples
    --------
    >>> import ridgebayes as rb
    >>> build = rb.models.from_source("from ridgebayes.models import regions as model", "mine.py")
    >>> model = build(rb.sky.load("example"))
    >>> model.sky.names[0], model.source[:4]
    ('bulge', 'from')
    """
    module = ModuleType("ridgebayes_user_model")
    module.__file__ = name
    _run(lambda: exec(compile(text, name, "exec"), module.__dict__), name)
    function = getattr(module, "model", None)
    if not callable(function):
        raise InputError(f"{name}: has no function 'model': {CONTRACT}")

    def build(sky: Sky, **options: Any) -> Model:
        built = _run(lambda: function(sky), name)
        if not isinstance(built, Model):
            raise InputError(f"{name}: model(sky) returned {type(built).__name__}: {CONTRACT}")
        return replace(built, source=text, options={**built.options, **options})

    return build


def _run(call: Callable[[], Any], name: str) -> Any:
    """Call code of a user's file; an error becomes one line with its line number in that file."""
    try:
        return call()
    except SyntaxError as error:
        raise InputError(f"{name}, line {error.lineno}: not Python ({error.msg})") from error
    except Exception as error:
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == name
        ]
        where = f", line {lines[-1]}" if lines else ""
        reason = str(error).splitlines()[0] if str(error) else ""
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        raise InputError(f"{name}{where}: {kind}{reason}") from error
