"""What notebooks show: small tables, and no text of a file or a user that is taken for HTML."""

import dataclasses
from html.parser import HTMLParser

import pytest

import ridgebayes as rb
from ridgebayes import markup
from ridgebayes.checks.results import Checks, Result


class Cells(HTMLParser):
    """Text of each cell, and the tags that are open."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.open, self.tags = [], [], set()
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag != "br":
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


KNOWN = {"div", "b", "p", "br", "table", "thead", "tbody", "tr", "th", "td"}


def test_texts_are_escaped():
    text = markup.page("<script>", markup.facts({"<a>": "<b>&"}), markup.table(("<i>",), [("<u>",)]),
                       markup.lines(["<hr>"]))  # fmt: skip
    found = Cells(text)
    assert found.tags == KNOWN - {"br"}
    assert found.cells == ["<a>", "<b>&", "<i>", "<u>"]


def test_numbers_stand_right_and_are_short():
    text = markup.table(("x",), [(1 / 3,), (12,)])
    assert '<td style="text-align:right">0.3333</td>' in text
    assert '<td style="text-align:right">12</td>' in text


def test_table_of_scws(small_mission):
    found = Cells(small_mission._repr_html_())
    assert found.tags <= KNOWN
    assert "A01" in found.cells
    assert "25–60" in found.cells
    assert "simulated ScWs" in small_mission._repr_html_()
    none = small_mission.select(small_mission.rate[:, 0] < 0)._repr_html_()
    assert "0 simulated ScWs" in none
    odd = dataclasses.replace(small_mission, meta={**small_mission.meta, "path": "<b>.fits"})
    assert "&lt;b&gt;.fits" in odd._repr_html_()


def test_model():
    model = rb.models.regions(rb.sky.load("coarse")).with_extras("outliers")
    found = Cells(model._repr_html_())
    assert found.tags <= KNOWN
    names = found.cells[5::5]
    assert names == list(model.parameters)
    assert "18 sky regions" in model._repr_html_()


def test_run(small_run):
    found = Cells(small_run._repr_html_())
    assert found.tags <= KNOWN
    assert "SIMULATED" in small_run._repr_html_().upper()
    for region in small_run.sky.names[:3]:
        assert region in found.cells


def test_checks():
    result = Result("tails.far", "far out", "A01", 5.0, 1.0, 0.0, 2.0, 0.001, 4.0, True)
    quiet = result._replace(statistic="neighbours.lag", p=0.5, z=0.1, found=False)
    checks = Checks((result, quiet), {}, ("A01",), (), 100, 0.01)
    found = Cells(checks._repr_html_())
    assert found.tags <= KNOWN
    assert found.cells[3:5] == ["FOUND", "tails"]
    assert found.cells[6:8] == ["quiet", "neighbours"]


def test_prompt_shows_a_model_and_checks_as_print_does():
    model = rb.models.regions(rb.sky.load("coarse"))
    assert repr(model) == str(model)
    assert len(repr(model).splitlines()) < 30
    result = Result("tails.far", "far out", "A01", 5.0, 1.0, 0.0, 2.0, 0.001, 4.0, True)
    checks = Checks((result,), {}, ("A01",), (), 100, 0.01)
    assert repr(checks) == str(checks)


def test_prompt_shows_a_run_and_its_diagnosis_in_a_few_lines(small_run):
    assert repr(small_run) == str(small_run)
    assert len(repr(small_run).splitlines()) < 12
    told = repr(small_run.diagnosis).splitlines()
    assert told[0].startswith("worst R-hat")
    assert tuple(told[1:]) == small_run.diagnosis.warnings


@pytest.mark.parametrize("name", rb.__all__)
def test_every_public_name_is_found(name):
    assert name in dir(rb)
    assert getattr(rb, name) is not None


def test_open_run_reads_what_a_fit_wrote(small_run, tmp_path):
    small_run.save(tmp_path / "run")
    assert rb.open_run(tmp_path / "run").record["model"] == small_run.record["model"]
    with pytest.raises(rb.InputError, match="not a run directory"):
        rb.open_run(tmp_path)
    with pytest.raises(rb.InputError, match="overwrite=True"):
        small_run.save(tmp_path / "run")
