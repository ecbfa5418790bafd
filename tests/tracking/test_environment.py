"""What a run says about its code and packages."""

import subprocess
from importlib import metadata

import pytest

from barrage_mlflow.tracking.environment import environment_tags

VERSIONS = {
    "barrage.version",
    "barrage.python",
    "barrage.threads",
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


def test_tags_name_versions_commit_branch_and_whether_the_tree_is_clean(repository):
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
