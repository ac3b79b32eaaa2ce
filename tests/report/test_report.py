"""The report: complete, self-contained, legible in a browser."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread

from ridgebayes.errors import InputError
from ridgebayes.outputs.product import Product, Shown
from ridgebayes.plots.figures import write_figures
from ridgebayes.plots.style import new_figure
from ridgebayes.report import figures, write_report
from ridgebayes.runs.run import FIGURES

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """Addresses, ids and open tags of a page."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.ids, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.addresses += [attrs[k] for k in ("src", "href") if k in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def saved(small_run, tmp_path_factory):
    run = small_run.save(tmp_path_factory.mktemp("report") / "run")
    write_figures(run, run.path / FIGURES)
    return run


@pytest.fixture(scope="module")
def page(saved):
    return write_report(saved)


@pytest.mark.slow
def test_nothing_is_fetched_and_every_link_leads_somewhere(page):
    found = Page(page.read_text())
    assert not found.open
    assert all(a.startswith(("#", "data:image/png;base64,")) for a in found.addresses)
    assert {a[1:] for a in found.addresses if a.startswith("#")} <= set(found.ids)
    assert sum(a.startswith("data:") for a in found.addresses) >= 7


def test_it_says_what_was_fitted_and_that_it_is_simulated(page, saved):
    text = re.sub(r"data:[^\"]+", "", page.read_text())
    assert "SIMULATED DATA" in text
    assert saved.record["data"]["fingerprint"] in text
    row = saved.table()[0]
    assert f"{row['fov_mean'].value:.2f} ± {row['fov_sd'].value:.2f}" in text
    for name in saved.record["model"]["priors"]:
        assert name in text


def test_verdicts_come_first(page, saved):
    text = page.read_text()
    assert text.index('id="verdicts"') < min(text.index(f'id="{n}"') for n in ("sky", "intensity", "fit"))
    state = "bad" if saved.diagnosis.warnings else "good"
    assert f'<li class="{state}"><b>Sampler</b>' in text
    assert "ridgebayes check" in text


@pytest.mark.slow
def test_names_from_the_data_cannot_break_the_page(saved, tmp_path):
    record = {**saved.record, "data": {**saved.record["data"], "path": "/x/<script>alert(1)</script>.fits"}}
    text = write_report(type(saved)(saved.tree, record, saved.path), tmp_path / "r.html").read_text()
    assert "<script" not in text


@pytest.mark.slow
def test_a_folder_that_cannot_be_written(saved, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_report(saved, tmp_path / "file" / "r.html")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [1280, 500])
def test_screenshot(page, tmp_path, width):
    """At the width of a desktop and of a phone: the mark stands at the top, nothing runs off to the right."""
    picture = tmp_path / "page.png"
    subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
         f"--window-size={width},1200", f"--screenshot={picture}", page.as_uri()],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    pixels = (imread(picture)[..., :3] * 255).round().astype(int)
    assert pixels.shape[1] == width
    mark = (np.abs(pixels - [0xB3, 0x40, 0x0A]).max(-1) < 8).any(1)
    assert mark[:120].any()
    background = np.array([0xF4, 0xF6, 0xF8])
    assert (np.abs(pixels[:, -3:] - background).max(-1) < 4).mean() > 0.95
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50


def test_a_figure_stands_under_the_heading_of_its_product(saved, monkeypatch, tmp_path):
    def draw(run):
        figure = new_figure("One", height_mm=30)
        figure.subplots()
        return figure

    products = {
        name: Product(name, name, lambda run: iter(()), section=section, shown=(Shown(name, name, draw),))
        for name, section in (("gain", "Detector"), ("plane", "Sky"))
    }
    monkeypatch.setattr(figures, "PRODUCTS", products)
    text = re.sub(r"data:[^\"]+", "", write_report(saved, tmp_path / "r.html").read_text())
    heads = [
        text.index(head) for head in ("<h2>Sky</h2>", "figure-plane", "<h2>Detector</h2>", "figure-gain")
    ]
    assert heads == sorted(heads)
    assert '<a href="#detector">Detector</a>' in text
