"""What a packaged model brings along: pinned packages and the project's code."""

import json
import sys
from importlib import metadata

import pytest

from barrage_mlflow.scoring import dependencies
from barrage_mlflow.scoring.dependencies import project_code, requirements


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A root folder on the import path, with modules that import each other."""
    root = tmp_path / "project"
    (root / "birds" / "parts").mkdir(parents=True)
    (root / "birds" / "__init__.py").write_text("from birds.parts import wing\nimport sibling\n")
    (root / "birds" / "parts" / "wing.py").write_text(
        "import hypothesis.strategies\nfrom . import x\n"
    )
    (root / "birds" / "old.py").write_text("print 'not Python today'\n")
    (root / "sibling.py").write_text("import json, barrage_mlflow\nimport nowhere_to_be_found\n")
    (root / "unrelated.py").write_text("")
    (root / "spaced").mkdir()
    (root / "spaced" / "deep.py").write_text("import spaced.deep")
    monkeypatch.syspath_prepend(root)
    return root


def test_code_is_the_modules_and_what_they_import_beside_them(project, monkeypatch):
    expected = [project / "birds", project / "sibling.py"]
    assert _code_of("birds.Loader") == expected
    assert _code_of("birds.parts.wing", "sibling.f") == expected
    assert _code_of("spaced.f") == [project / "spaced"]
    monkeypatch.setitem(sys.modules, "made_up", type(sys)("made_up"))
    others = ["json", "numpy", "keras", "barrage_mlflow", "nowhere_to_be_found", "__main__"]
    assert _code_of(*(f"{name}.x" for name in [*others, "made_up"])) == []


def _code_of(*imports):
    return project_code({"blocks": [{"import": path} for path in imports]})


def test_requirements_are_pinned_to_what_is_installed(project):
    lines = requirements()
    for name in ("tensorflow", "keras", "numpy", "pandas", "mlflow", "pyarrow"):
        assert f"{name}=={metadata.version(name)}" in lines
    names = [line.partition("==")[0] for line in lines]
    assert not {"barrage-mlflow", "pytest", "click", "rich", "hypothesis"} & set(names)
    assert lines[-1].startswith("uvloop")
    assert lines[-1].endswith('; sys_platform != "win32"')
    assert f"hypothesis=={metadata.version('hypothesis')}" in requirements([project / "birds"])


class Installed:
    """Stands for a distribution's metadata."""

    def __init__(self, version="2.0+cu12", origin=None, files=()):
        self.metadata = {"Name": "Birds"}
        self.version = version
        self.origin = origin
        self.files = files

    def read_text(self, name):
        return json.dumps(self.origin) if self.origin else None


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, "Birds==2.0"),
        (
            {"url": "https://example.org/b.git", "vcs_info": {"vcs": "git", "commit_id": "12ab"}},
            "Birds @ git+https://example.org/b.git@12ab",
        ),
        (
            {"url": "https://example.org/b.whl", "archive_info": {}},
            "Birds @ https://example.org/b.whl",
        ),
        ({"url": "file:///work/b", "dir_info": {"editable": True}}, ""),
        ({"url": "file:///work/b.whl", "archive_info": {}}, "Birds==2.0"),
    ],
)
def test_a_pin_installs_the_same_again(monkeypatch, origin, expected):
    monkeypatch.setattr(metadata, "distribution", lambda name: Installed(origin=origin))
    assert dependencies._pin("birds") == expected
