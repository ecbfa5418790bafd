"""Where the engine of a new project comes from."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.requirements import Requirement
from workshop import Workshop, git, load_hook, only_line, requirement_of


def test_engine_from_a_relative_path(workshop: Workshop, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(workshop.template / "hooks")
    project = workshop.make_one(tmp_path / "one", template="..")
    assert requirement_of(project) == f"barrage-mlflow @ {workshop.template.as_uri()}"

    # A process that was started without a shell may name another folder, or none.
    done = workshop.make("..", "-o", tmp_path / "two", PWD=str(tmp_path))
    assert done.returncode == 1
    assert "give the template's folder as an absolute path" in only_line(done)


def test_engine_is_pinned_to_what_was_checked_out(workshop: Workshop, tmp_path: Path):
    upstream = tmp_path / "upstream"
    git(tmp_path, "clone", "--quiet", str(workshop.template), "upstream")
    git(upstream, "tag", "v1")
    git(upstream, "commit", "--quiet", "--allow-empty", "-m", "Two")
    address = f"git+{upstream.as_uri()}"
    project = workshop.make_one(tmp_path, "-c", "v1", template=address)
    assert requirement_of(project) == f"barrage-mlflow @ {address}@{workshop.commit}"


def test_engine_from_an_abbreviation(workshop: Workshop, tmp_path: Path):
    origin = "https://github.com/org/barrage-template.git"
    instead = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{workshop.template}.insteadOf",
        "GIT_CONFIG_VALUE_0": origin,
    }
    project = workshop.make_one(tmp_path, template="gh:org/barrage-template", **instead)
    assert requirement_of(project) == f"barrage-mlflow @ git+{origin}@{workshop.commit}"
    assert "change the line in both files" not in (project / "README.md").read_text("utf-8")


def test_git_addresses_as_pip_takes_them():
    hook = load_hook("post_gen_project")
    addresses = {
        "https://host/org/repo.git": "git+https://host/org/repo.git@1f0c",
        "https://me:secret@host:8443/org/repo": "git+https://host:8443/org/repo@1f0c",
        "git@host.org:org/repo.git": "git+ssh://git@host.org/org/repo.git@1f0c",
        "ssh://git@host/org/repo.git": "git+ssh://git@host/org/repo.git@1f0c",
        "git+ssh://git@host/repo": "git+ssh://git@host/repo@1f0c",
        "file:///a folder/repo": "git+file:///a%20folder/repo@1f0c",
        "/a folder/repo": "git+file:///a%20folder/repo@1f0c",
        "../repo": "",
        "": "",
    }
    assert {origin: hook.pip_address(origin, "1f0c") for origin in addresses} == addresses
    assert {hook.pip_address(origin, "") for origin in addresses} == {""}


def test_requirements_that_may_be_typed():
    hook = load_hook("post_gen_project")
    for typed in (
        "barrage-mlflow",
        "barrage_mlflow==0.1.0",
        "Barrage.MLflow[test] ~= 0.1.0 ; python_version >= '3.12'",
        "barrage-mlflow @ git+ssh://git@host/org/repo@1f0c",
        "barrage-mlflow@file:///a%20folder",
    ):
        assert Requirement(hook.check_requirement(typed))
    for typed in (
        *("", "../barrage", "keras", "barrage-mlflow\nkeras"),
        'barrage-mlflow; python_version > "3"',
    ):
        expected = r"^engine: .* is no requirement of barrage-mlflow; write auto, or a line such as"
        with pytest.raises(ValueError, match=expected):
            hook.check_requirement(typed)
