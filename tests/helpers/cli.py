"""The command line, called in this process."""

from click.testing import CliRunner, Result

from ridgebayes.cli.main import main


def call(*arguments: object) -> Result:
    """Call ``ridgebayes`` with arguments, converted to text; return exit code, stdout and stderr."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def one_line(result: Result, *words: str) -> None:
    """Check that a command refused its input with one line that contains these words."""
    assert result.exit_code == 2, result.output
    lines = result.output.strip().splitlines()
    assert len(lines) == 1, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in lines[0], (word, lines[0])
