"""What a run says about its code, and what a packaged model brings along."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

from barrage_mlflow.tracking import dependencies, environment_tags, project_code, requirements

VERSIONS = {
    "barrage.version",
    "barrage.python",
    "barrage.tensorflow",
    "barrage.keras",
    "barrage.mlflow",
}


def git(folder, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    git(tmp_path, "init", "-q", "-b", "work")
    (tmp_path / "a.py").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    return tmp_path


def git_part(tags):
    return {name: value for name, value in tags.items() if name not in VERSIONS}


def test_tags_name_versions_commit_branch_and_whether_the_tree_is_clean(repository, monkeypatch):
    tags = environment_tags(repository)
    commit = git(repository, "rev-parse", "HEAD")
    assert tags["barrage.keras"] == metadata.version("keras")
    assert set(tags) >= VERSIONS
    expected = {
        "mlflow.source.git.commit": commit,
        "barrage.git.commit": commit,
        "barrage.git.branch": "work",
        "barrage.git.clean": "true",
    }
    assert git_part(tags) == expected
    monkeypatch.setenv("GIT_DIR", "/nowhere/.git")  # as within a hook of another repository
    assert git_part(environment_tags(repository)) == expected
    monkeypatch.delenv("GIT_DIR")
    (repository / "new.py").write_text("1\n")
    (repository / "sub").mkdir()
    assert environment_tags(repository / "sub")["barrage.git.clean"] == "false"
    git(repository, "checkout", "-q", "--detach")
    assert "barrage.git.branch" not in environment_tags(repository)


def test_where_git_knows_nothing_there_are_fewer_tags(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_part(environment_tags(tmp_path)) == {}
    assert git_part(environment_tags(tmp_path / "missing")) == {}
    git(tmp_path, "init", "-q", "-b", "work")
    tags = {"barrage.git.branch": "work", "barrage.git.clean": "true"}
    assert git_part(environment_tags(tmp_path)) == tags
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_part(environment_tags(tmp_path)) == {}


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
    expected = [str(project / "birds"), str(project / "sibling.py")]
    assert project_code(["birds"]) == expected
    assert project_code(["birds.parts.wing", "sibling"]) == expected
    assert project_code(["spaced"]) == [str(project / "spaced")]
    monkeypatch.setitem(sys.modules, "made_up", type(sys)("made_up"))
    others = ["json", "numpy", "keras", "barrage_mlflow", "nowhere_to_be_found", "__main__"]
    assert project_code([*others, "made_up"]) == []


def test_requirements_are_pinned_to_what_is_installed(project):
    lines = requirements()
    for name in ("tensorflow", "keras", "numpy", "pandas", "mlflow", "pyarrow"):
        assert f"{name}=={metadata.version(name)}" in lines
    names = [line.partition("==")[0] for line in lines]
    assert not {"barrage-mlflow", "pytest", "click", "rich", "hypothesis"} & set(names)
    assert lines[-1].startswith("uvloop")
    assert lines[-1].endswith('; sys_platform != "win32"')
    assert f"hypothesis=={metadata.version('hypothesis')}" in requirements(["birds"])


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


def test_a_package_that_is_not_installed_is_not_required(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", missing)
    assert requirements() == ['uvloop>=0.21,<1; sys_platform != "win32"']


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("google", ["auth", "storage"]),
        ("mlflow", ["mlflow"]),
        ("yaml", ["PyYAML"]),
        ("nothing", []),
    ],
)
def test_a_module_leads_to_the_distributions_that_hold_it(monkeypatch, module, expected):
    installed = {
        "google": ["storage", "auth", "auth"],
        "mlflow": ["mlflow", "mlflow-skinny"],
        "yaml": ["PyYAML"],
    }
    monkeypatch.setattr(dependencies, "_installed", lambda: installed)
    assert dependencies._distributions(module) == expected
