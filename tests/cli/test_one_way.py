"""One way of saying it: options of all commands, errors in both languages, what is written and said last."""

import ast
import inspect
import re
import textwrap
from pathlib import Path

import click
import pytest

import ridgebayes
import ridgebayes as rb
from ridgebayes.cli.completion import complete_extras, complete_models, complete_skies
from ridgebayes.cli.ending import Products, say_next
from ridgebayes.cli.main import SECTIONS, main
from ridgebayes.cli.wording import in_options, options_of
from ridgebayes.errors import InputError
from ridgebayes.model.extensions import EXTRAS
from ridgebayes.models import MODELS
from ridgebayes.sky import shipped
from tests.helpers.cli import call, one_line

SOURCES = Path(ridgebayes.__file__).parent
COMMANDS = sorted(main.commands.items())

MAY_REPEAT = {("bench", "--n-bands")}  # a grid of missions; `simulate` makes one
# Where a default must be another.
OWN_DEFAULT = {
    *(("bench", option) for option in ("--chains", "--warmup", "--draws")),  # those of `fit`
    *((command, "--out") for command in ("bench", "demo", "prior")),  # made from no run
    *((command, "--sky") for command in ("fitspec", "flux")),  # the regions of the run
    ("sbc", "--sky"),  # it fits hundreds of times
    ("sbc", "--revolutions"),
    ("paper", "--format"),
}


def options():
    for name, command in COMMANDS:
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                yield name, parameter


def test_an_option_is_the_same_everywhere():
    kinds, defaults = {}, {}
    for command, option in options():
        key = max(option.opts, key=len)
        said = option.to_info_dict()
        if (command, key) in MAY_REPEAT:
            said["multiple"] = False
        kind = [said[name] for name in ("type", "opts", "multiple", "nargs", "is_flag")]
        kinds.setdefault(key, {}).setdefault(repr(kind), []).append(command)
        if (command, key) not in OWN_DEFAULT:
            defaults.setdefault(key, {}).setdefault(repr(said["default"]), []).append(command)
    for found in (kinds, defaults):
        assert not {key: commands for key, commands in found.items() if len(commands) > 1}


def test_exemptions_are_needed():
    usual, own = {}, {}
    for command, option in options():
        key = max(option.opts, key=len)
        place = own if (command, key) in OWN_DEFAULT else usual
        place[command, key] = option.to_info_dict()["default"]
    assert own.keys() == OWN_DEFAULT
    for (_, key), default in own.items():
        assert default not in {value for (_, other), value in usual.items() if other == key}, key


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_what_writes_can_be_told_where_and_to_replace(name, command):
    flags = {flag for option in command.params for flag in option.opts}
    goes_on = {"sbc", "campaign", "bench"}  # what is in their folder is kept, and the same command goes on
    if "--out" in flags and name not in goes_on:
        assert "--overwrite" in flags


@pytest.mark.parametrize("name", ["fit", "demo", "update"])
def test_who_replaces_a_run_says_what_goes_with_it(name):
    told = next(p.help for p in main.commands[name].params if p.name == "overwrite")
    assert "whole run directory, with the products, checks and report" in told


@pytest.mark.parametrize(
    ("function", "option"),
    [(rb.check, "--replicates"), (rb.prior_predictive, "--prior-draws"), (rb.sbc.run_sbc, "--rank-draws")],
)
def test_python_says_which_option_its_draws_are(function, option):
    assert any(option in parameter.opts for _, parameter in options())
    words = inspect.getdoc(function)  # which Python 3.13 has without its indentation
    assert re.search(rf"^draws\n(?: {{4}}.*\n)*?.*``{option}``", words, re.MULTILINE)
    assert "Run.open" not in words


def test_no_command_is_cut_off_in_the_list():
    shown = call("--help").output
    for name, command in main.commands.items():
        words = command.short_help
        assert words, f"{name}: give click.command a short_help"
        assert len(words) <= 60, name
        assert re.search(rf"^  {name} +{re.escape(words)}$", shown, re.MULTILINE), name
    assert "..." not in shown.partition("A first look")[2]


def test_no_word_is_a_command_and_a_model():
    assert not set(main.commands) & set(MODELS)


def test_every_command_is_in_a_section():
    shown = [str(command.name) for commands in SECTIONS.values() for command in commands]
    assert sorted(shown) == sorted(main.commands)
    text = call("--help").output
    for title in SECTIONS:
        assert f"{title}:" in text


def test_models_are_listed():
    lines = call("models").output.splitlines()
    assert [line.split()[0] for line in lines[: len(MODELS)]] == list(MODELS)
    assert lines[len(MODELS)].startswith("next: ridgebayes model --model NAME")


def test_unknown_command_names_the_nearest():
    result = call("crab")
    assert result.exit_code == 2
    assert "did you mean 'crab-history'?" in result.output


@pytest.mark.parametrize(
    ("complete", "typed", "expected"),
    [
        (complete_models, "re", ["regions"]),
        (complete_models, "", list(MODELS)),
        (complete_extras, "out", ["outliers"]),
        (complete_skies, "", shipped()),
    ],
)
def test_names_are_completed(complete, typed, expected):
    option = main.commands["fit"].params[1]
    found = complete(click.Context(main.commands["fit"]), option, typed)
    assert [item.value for item in found] == expected


def test_a_path_is_completed_by_the_shell():
    (item,) = complete_models(click.Context(main), main.params[0], "mine/mo")
    assert item.type == "file"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell):
    result = call("completion", shell)
    assert result.exit_code == 0
    assert f"_RIDGEBAYES_COMPLETE={shell}_complete" in result.output


def test_completion_of_another_shell(monkeypatch):
    monkeypatch.setenv("SHELL", "/bin/ksh")
    one_line(call("completion"), "ksh", "bash, zsh, fish")


def test_extras_in_help():
    text = " ".join(call("fit", "--help").output.split())
    for extra in EXTRAS:
        assert extra in text


def test_errors_of_the_library_name_no_option():
    """A whole command (`ridgebayes screen --undo`) may be there."""
    found = []
    for path in [*SOURCES.rglob("*.py"), *(SOURCES.parent / "models").glob("*.py")]:
        if "cli" in path.relative_to(SOURCES.parent).parts or path.name == "fault_injection.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "InputError"):
                continue
            texts = [
                c.value for c in ast.walk(node) if isinstance(c, ast.Constant) and isinstance(c.value, str)
            ]
            text = re.sub(r"(ridgebayes \w+|fitscheck)[^;,]*", "", "…".join(texts))
            found += [f"{path.name}: {text}"] if re.search(r"(^|[\s(])--[a-z]", text) else []
    assert not found


def test_errors_name_options_on_the_command_line(tmp_path):
    (tmp_path / "run" / "checkpoint").mkdir(parents=True)
    words = in_options("x=...: choose out=... or overwrite=True, n=3", options_of(main.commands["fit"]))
    assert words == "x=...: choose --out or --overwrite, n=3"
    words = in_options("such as crab_rate={'A 1': 119, 'A02': …}", options_of(main.commands["fit"]))
    assert words == "such as --crab-rate 'A 1=119' --crab-rate A02=…"
    words = in_options("a table of revolutions=...", options_of(main.commands["convert"]))
    assert words == "a table of --revolution-table"
    for name, command in COMMANDS:
        assert all(flag.startswith("--") for flag in options_of(command).values()), name


def test_products_are_not_replaced_in_silence(tmp_path, capsys):
    first = Products(tmp_path, "a.txt", overwrite=False)
    first.text("a.txt", "one")
    first.end(("ridgebayes report RUN", "one page"), ("ridgebayes check", "more"))
    said = capsys.readouterr().out
    assert said == (
        f"wrote {tmp_path}: a.txt\nnext: ridgebayes report RUN  one page\n      ridgebayes check       more\n"
    )
    with pytest.raises(InputError, match=r"a\.txt: exists already"):
        Products(tmp_path, "a.txt", overwrite=False)
    second = Products(tmp_path, "b.txt", overwrite=False)
    with pytest.raises(InputError, match=r"a\.txt: exists already"):
        second.text("a.txt", "two")
    assert (tmp_path / "a.txt").read_text() == "one"
    Products(tmp_path, "a.txt", overwrite=True).text("a.txt", "three")
    assert (tmp_path / "a.txt").read_text() == "three"


def test_nothing_next(capsys):
    say_next()
    assert capsys.readouterr().out == ""


ENDS = {"say_next", "end", "_report"}
"""Functions that say what to do next."""


def ways_out(function):
    """Blocks of statements after which a function is left without an error."""
    yield function.body
    for node in ast.walk(function):
        for block in (getattr(node, name, None) for name in ("body", "orelse", "finalbody")):
            if isinstance(block, list) and block and isinstance(block[-1], ast.Return):
                yield block


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_every_way_out_says_what_to_do_next(name, command):
    """At the end and before every `return`, in the same block, one call with a next step at least."""
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(command.callback)))
    (function,) = ast.parse(source).body
    for block in ways_out(function):
        calls = [s.value for s in block if isinstance(s, ast.Expr) and isinstance(s.value, ast.Call)]
        said = [c for c in calls if getattr(c.func, "id", getattr(c.func, "attr", "")) in ENDS and c.args]
        assert said, f"line {block[-1].lineno} of {name}"
