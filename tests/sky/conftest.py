"""Sky tests keep their cache to themselves."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    before = os.environ.get("RIDGEBAYES_CACHE")
    os.environ["RIDGEBAYES_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["RIDGEBAYES_CACHE"]
    else:
        os.environ["RIDGEBAYES_CACHE"] = before
