"""The code that the configs of tests name."""

import pytest
from recipes import write_project


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    """The folder with all the code that the configs name."""
    folder = tmp_path_factory.mktemp("code")
    write_project(folder)
    return folder


@pytest.fixture
def importable(monkeypatch, code):
    """That code can be imported."""
    monkeypatch.syspath_prepend(str(code))


@pytest.fixture
def in_project(monkeypatch, code, importable):
    """It is where one works."""
    monkeypatch.chdir(code)
