"""What the project says in several places is the same in all of them."""

import tomllib

import yaml
from barrage_mlflow import read_search
from barrage_mlflow.config import add_project_path, find_faults, find_warnings, read_config
from conftest import CONFIG, PROJECT


def test_config_has_no_fault():
    document = read_config(CONFIG)
    add_project_path(document)
    assert [str(fault) for fault in find_faults(document)] == []
    assert [str(warning) for warning in find_warnings(document)] == []


def test_search_fits_the_config():
    assert read_search(PROJECT / "search.json", read_config(CONFIG)).space


def test_conda_lists_what_pyproject_lists():
    conda = yaml.safe_load((PROJECT / "conda.yaml").read_text("utf-8"))
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    python, _, packages = conda["dependencies"]
    assert packages["pip"] == project["dependencies"]
    assert python == f"python{project['requires-python']}"
