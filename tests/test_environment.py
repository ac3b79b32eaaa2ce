"""What a command is started from must not matter: variables, terminals, repositories, scripts, files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest

from ridgebayes import InputError, Run, environment
from ridgebayes.runs import metadata

PACKAGE = Path(metadata.__file__).parents[1]


def started(*command, cwd, **variables):
    """Run Python with variables in its environment; None takes one away."""
    known = {k: v for k, v in (os.environ | variables).items() if v is not None}
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, cwd=cwd, env=known, capture_output=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    from importlib.resources import files

    from ridgebayes import read_scws, write_scws

    folder = tmp_path_factory.mktemp("dír with ☃")
    write_scws(read_scws(files("ridgebayes.data") / "demo.fits").select(np.arange(40)), folder / "tab é.fits")
    return folder / "tab é.fits"


DRAW = (
    "from ridgebayes.plots.style import new_figure, write_figure; "
    "write_figure(lambda: new_figure('x', 30), 'f.png')"
)


@pytest.mark.parametrize(
    "variables",
    [
        {"MPLBACKEND": "module://no_such_module.backend"},
        {"JAX_ENABLE_X64": "0"},
        {"JAX_ENABLE_X64": "perhaps"},
        {"HOME": "/dev/null/none", "XDG_CACHE_HOME": None, "MPLCONFIGDIR": None},
    ],
)
@pytest.mark.slow
def test_variables_that_do_not_matter(variables, tmp_path):
    done = started(
        "-c", f"{DRAW}; import jax.numpy as jnp; print(jnp.ones(1).dtype)", cwd=tmp_path, **variables
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [b"float64"]
    assert (tmp_path / "f.png").is_file()


def test_a_command_draws_to_files_whatever_the_backend(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "garbage")
    environment.for_commands()
    assert os.environ["MPLBACKEND"] == "agg"


@pytest.mark.parametrize("name", ["JAX_DEBUG_NANS", "JAX_NUM_CPU_DEVICES", "JAX_DEFAULT_MATMUL_PRECISION"])
def test_a_variable_that_jax_does_not_take_is_named(name, tmp_path):
    for command in (["-m", "ridgebayes", "models"], ["-c", "import ridgebayes; ridgebayes.models"]):
        done = started(*command, cwd=tmp_path, **{name: "perhaps"})
        lines = done.stderr.decode().strip().splitlines()
        assert f"{name} is 'perhaps', which JAX does not take: unset {name}" in lines[-1]
        if command[0] == "-m":
            assert (done.returncode, len(lines)) == (2, 1)


def test_help_and_import_wait_for_nothing_heavy(tmp_path):
    """These take most of a second; JAX is then told to count in double precision before it is imported."""
    heavy = ["jax", "numpyro", "scipy", "matplotlib", "xarray", "arviz_stats", "distributed"]
    program = f"import sys; print([name for name in {heavy} if name in sys.modules])"
    for first in ("import ridgebayes.cli.main", "import ridgebayes as rb; rb.read_scws; rb.InputError"):
        done = started("-c", f"{first}; {program}", cwd=tmp_path)
        assert done.stdout.split() == [b"[]"], done


@pytest.mark.parametrize("first", ["jax, ridgebayes", "ridgebayes, jax"])
@pytest.mark.slow
def test_double_precision_whichever_is_imported_first(first, tmp_path):
    done = started("-c", f"import {first}; print(jax.numpy.ones(1).dtype)", cwd=tmp_path, JAX_ENABLE_X64=None)
    assert done.stdout.split() == [b"float64"], done


@pytest.mark.parametrize("name", ["JAX_PLATFORMS", "JAX_PLATFORM_NAME"])
@pytest.mark.slow
def test_a_platform_that_is_not_there_is_named(name, tmp_path):
    simulate = ["-m", "ridgebayes", "simulate", "--revolutions", "2", "--out", "a.fits"]
    assert started(*simulate, cwd=tmp_path).returncode == 0
    fit = ["-m", "ridgebayes", "fit", "a.fits", "--out", "r", "--band", "A01", "--crab-rate", "A01=119"]
    done = started(*fit, cwd=tmp_path, **{name: "cuda"})
    if done.returncode == 0:
        pytest.skip("there is a GPU")
    assert done.returncode == 2
    lines = done.stderr.decode().strip().splitlines()
    assert f"{name} is 'cuda', and JAX finds no such device here: unset {name}" in lines[-1]


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": None},
    ],
)
@pytest.mark.slow
def test_terminals_and_locales(variables, table):
    """Names with letters beyond ASCII are read and written, and what cannot be shown is spelt."""
    for words in (["inspect", table.name], ["convert", table.name, "--out", "näme.csv", "--overwrite"]):
        done = started("-m", "ridgebayes", *words, cwd=table.parent, **variables)
        assert done.returncode == 0, done.stderr
    assert (table.parent / "näme.csv").is_file()


@pytest.mark.parametrize(
    ("kernel", "known", "begun_with"),
    [
        ("always [madvise] never", "", "glibc.malloc.hugetlb=1"),
        ("always [madvise] never", "glibc.malloc.check=1", "glibc.malloc.check=1:glibc.malloc.hugetlb=1"),
        ("always [madvise] never", "glibc.malloc.hugetlb=0", None),  # the user has decided
        ("[always] madvise never", "", None),
        ("always madvise [never]", "", None),
        (None, "", None),  # not Linux
    ],
)
def test_commands_begin_again_where_huge_pages_must_be_asked_for(
    kernel, known, begun_with, tmp_path, monkeypatch
):
    if kernel is not None:
        (tmp_path / "enabled").write_text(kernel)
    begun = []
    monkeypatch.setattr(environment, "_PAGES", tmp_path / "enabled")
    monkeypatch.setattr(environment, "_for_utf8", dict)
    monkeypatch.setattr(os, "execve", lambda *call: begun.append(call))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "ridgebayes", "fit", "a.fits"])
    monkeypatch.setenv("GLIBC_TUNABLES", known)
    environment.begin_again(large=True)
    again = [(argv, variables["GLIBC_TUNABLES"]) for _, argv, variables in begun]
    expected = [sys.executable, "-m", "ridgebayes", "fit", "a.fits"], begun_with
    assert again == ([expected] if begun_with else [])
    begun.clear()
    environment.begin_again()
    assert not begun


def test_letters_are_spelt_where_a_terminal_lacks_them():
    assert "25–60 keV ± 3° ≥ σ²…".encode("ascii", "ridgebayes.plain") == b"25-60 keV +/- 3 deg >= sigma2..."
    assert "é☃".encode("latin-1", "ridgebayes.plain") == "é?".encode("latin-1")


# --- git


def test_the_commit_is_that_of_this_package_only(tmp_path, monkeypatch):
    if shutil.which("git") is None:
        pytest.skip("no git")

    def git(*words):
        name = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(("git", *name, *words), cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "theirs.txt").write_text("x")
    git("add", "theirs.txt")
    git("commit", "-m", "theirs")
    copy = tmp_path / "venv" / "ridgebayes" / "runs" / "metadata.py"
    copy.parent.mkdir(parents=True)
    shutil.copy(metadata.__file__, copy)
    monkeypatch.setattr(metadata, "__file__", str(copy))
    assert metadata.git_commit() == ""
    git("add", "venv")
    git("commit", "-m", "ours")
    assert len(metadata.git_commit()) == 40
    # A hook of git in another repository sets variables that name that one.
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert len(metadata.git_commit()) == 40
    copy.write_text(copy.read_text() + "\n")
    assert metadata.git_commit().endswith("+")


# --- scripts


@pytest.mark.long
def test_a_script_without_a_guard_says_what_is_missing(tmp_path):
    (tmp_path / "script.py").write_text(
        "from pathlib import Path\n"
        "from ridgebayes.events import measure_files, parse_bands\n"
        "try:\n"
        "    measure_files([Path('a'), Path('b')], parse_bands('25-60'), scheduler='local:2')\n"
        "except ValueError as error:\n"
        "    print(error)\n"
    )
    done = started("script.py", cwd=tmp_path)
    assert (
        b'script.py: starts workers, which run it again: put what it does under  if __name__ == "__main__":'
        in (done.stdout)
    )
    guarded = (tmp_path / "script.py").read_text().replace("\n", "\n    ")
    (tmp_path / "guarded.py").write_text(f'if __name__ == "__main__":\n    {guarded}\n')
    done = started("guarded.py", cwd=tmp_path)  # the remedy works: both files are then missed, one by one
    assert done.returncode == 0
    assert b"guard" not in done.stdout


# --- files


@pytest.mark.slow
def test_a_posterior_that_is_open_elsewhere_is_said_to_be(small_run, tmp_path):
    small_run.save(tmp_path / "run")
    program = (
        "import h5py, sys, time; f = h5py.File(sys.argv[1], 'a'); print('open', flush=True); time.sleep(60)"
    )
    # Opened for writing, HDF5 marks the file: its digest is another until it is closed.
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "run" / "posterior.nc")], stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(InputError, match=r"posterior\.nc: is open in another program: close it there"):
            Run.open(tmp_path / "run")
    finally:
        other.kill()
        other.wait()
        other.stdout.close()


@pytest.mark.slow
def test_a_posterior_that_is_read_elsewhere_is_read_here(small_run, tmp_path):
    small_run.save(tmp_path / "run")
    with h5py.File(tmp_path / "run" / "posterior.nc", "r"):
        assert np.isfinite(Run.open(tmp_path / "run").intensity()).all()


# --- a notebook


@pytest.mark.slow
def test_a_notebook_in_a_real_kernel(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = [
        "import ridgebayes as rb, jax\n"
        "from ridgebayes import simulate\n"
        "sky = rb.sky.load('coarse').select(['L-20', 'GB', 'L+20'])\n"
        "shares = {n: [0.4] for n in sky.names}\n"
        "truth = simulate.Truth(bands=simulate.BANDS[:1], template=None, intensity=shares)\n"
        "scws = simulate.mission(simulate.programme(12, stop=2740, seed=11), truth, sky=sky, seed=3)",
        "run = rb.sample(rb.models.regions(sky), scws, out='run', chains=2, warmup=30, draws=20, seed=1)",
        "print(float(run.intensity().mean()) > 0)",
        "from pathlib import Path\nprint(Path('run/run.toml').is_file())",
        "import subprocess, sys\n"
        "print(subprocess.run([sys.executable, '-m', 'ridgebayes', 'flux', 'run', '--out', 'f']).returncode)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.outputs)
    assert said.count("True") == 2
    assert "\n0\n" in said


@pytest.mark.slow
def test_settings_that_arviz_does_not_take_are_named(tmp_path):
    (tmp_path / "arvizrc").write_text("stats.hdi_prob : 0.94\n")  # of an older ArviZ
    done = started("-m", "ridgebayes", "report", ".", cwd=tmp_path)
    assert done.returncode == 2
    assert b"arvizrc: settings that this ArviZ does not take: mend or move the file" in done.stderr
    (tmp_path / "arvizrc").rename(tmp_path / "arvizrc.old")
    assert b"not a run directory" in started("-m", "ridgebayes", "report", ".", cwd=tmp_path).stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems give memory back by themselves")
def test_free_memory_is_given_back():
    resident = lambda: psutil.Process().memory_info().rss  # noqa: E731
    # Below 128 kB malloc takes memory from its heap, where every twentieth array keeps it from shrinking.
    arrays = [np.ones(8_000) for _ in range(4_000)]
    kept = arrays[::20]
    before = resident()
    del arrays
    environment.give_back_memory()
    assert before - resident() > 150e6
    assert len(kept) == 200
