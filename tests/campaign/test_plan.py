"""Plans of campaigns: what a file says, and what is refused in a line."""

from pathlib import Path

import pytest

from ridgebayes import simulate
from ridgebayes.campaign.plan import Case, Fit, Plan, plan_of, read_plan
from ridgebayes.errors import InputError

FILES = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_campaigns_of_the_benchmarks(path):
    plan = read_plan(path)
    assert len(plan.cases()) == len(set(plan.cases())) > 5
    assert plan_of(plan.recorded()) == plan


def test_cases():
    plan = Plan(
        fits=(Fit(), Fit("template", ("outliers", "transients"), worlds=("outliers",))),
        worlds=("clean", "outliers"),
        missions=2,
        first_seed=4,
    )
    assert plan.cases()[:3] == [
        Case("clean", "regions", 4),
        Case("outliers", "regions", 4),
        Case("outliers", "template + outliers + transients", 4),
    ]
    assert [case.seed for case in plan.cases()] == [4, 4, 4, 5, 5, 5]
    assert plan.fit_of(plan.cases()[2]) is plan.fits[1]


def test_worlds():
    plan = Plan(worlds=("clean", "outliers+shared_noise"), outlier_fraction=0.02)
    clean, two = plan.cases()[:2]
    assert plan.world_of(clean) == simulate.World()
    assert plan.world_of(two).names == ("outliers", "shared_noise")
    assert plan.world_of(two).outliers.fraction == 0.02


def test_priors_are_in_the_label(tmp_path):
    (tmp_path / "p.toml").write_text(
        '[[fits]]\nextras = ["outliers"]\npriors = { "background.scatter" = "HalfNormal(0.02)" }\n'
    )
    (fit,) = read_plan(tmp_path / "p.toml").fits
    assert fit.label == "regions + outliers + background.scatter=HalfNormal(0.02)"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mission = 3", "'mission': there is no such key (did you mean 'missions'?)"),
        ("missions = 0", "missions = 0: must be at least 1"),
        ("missions = 1.5", "missions = 1.5: must be a whole number"),
        ("missions = true", "missions = True: must be a whole number"),
        ('check = "yes"', "check = 'yes': must be true or false"),
        ("worlds = 'clean'", "worlds = 'clean': must be a list of texts"),
        ("worlds = [1]", "worlds = [1]: must be a list of texts"),
        ('worlds = ["outlier"]', "unknown switch 'outlier'"),
        ('regions = ["BG"]', "region 'BG': there is none of this name"),
        ('bands = ["A04"]', "band 'A04': there is none of this name"),
        ("fits = [3]", "fits: 3: must be a table"),
        ('[[fits]]\nmodle = "regions"', "fits: 'modle': there is no such key (did you mean 'model'?)"),
        ('[[fits]]\nmodel = "region"', "did you mean 'regions'?"),
        ("[[fits]]\n[[fits]]", "fits: the same is given twice"),
        ('[[fits]]\nworlds = ["outliers"]', "no fit is for any of them"),
        ("[settings]\nchains = 0", "chains = 0: must be at least 1"),
        ("[settings]\nchain = 2", "setting 'chain': there is none of this name (did you mean 'chains'?)"),
        ("[settings]\nseed = 2", "setting 'seed': there is none of this name"),
        ("worlds = [", "cannot be read"),
    ],
)
def test_what_is_refused(text, words, tmp_path):
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(InputError) as told:
        read_plan(tmp_path / "p.toml")
    assert str(told.value).startswith(f"{tmp_path / 'p.toml'}: ")
    assert words in str(told.value)


def test_a_plan_that_is_not_there():
    with pytest.raises(InputError, match=r"nowhere\.toml: no such file"):
        read_plan("nowhere.toml")
