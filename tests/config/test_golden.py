"""Golden configs: each folder holds a config and its resolved form, or every fault of it."""

import copy
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from barrage_mlflow.cli import main
from barrage_mlflow.config import resolve_config
from barrage_mlflow.errors import ConfigError

GOLDEN = Path(__file__).parent / "golden"
VALID = sorted(path.parent for path in GOLDEN.glob("*/resolved.json"))
FAULTY = sorted(path.parent for path in GOLDEN.glob("*/faults.txt"))


def config_in(folder):
    (path,) = folder.glob("config.*")
    return path.name


@pytest.fixture(autouse=True)
def _project(monkeypatch):
    monkeypatch.syspath_prepend(str(GOLDEN))


def test_every_golden_folder_says_what_is_expected_of_it():
    folders = {path for path in GOLDEN.iterdir() if any(path.glob("config.*"))}
    assert folders == {*VALID, *FAULTY}
    assert len(VALID) >= 4
    assert len(FAULTY) >= 8


@pytest.mark.parametrize("folder", VALID, ids=lambda folder: folder.name)
def test_resolves(folder, monkeypatch):
    monkeypatch.chdir(folder)
    expected = json.loads((folder / "resolved.json").read_text("utf-8"))
    resolved = resolve_config(config_in(folder))
    assert resolved == expected


@pytest.mark.parametrize("folder", [*VALID, *FAULTY], ids=lambda folder: folder.name)
def test_check_prints_just_that(folder, monkeypatch):
    monkeypatch.chdir(folder)
    name = config_in(folder)
    ran = CliRunner().invoke(main, ["check", name])
    if folder in FAULTY:
        expected = (folder / "faults.txt").read_text("utf-8")
        count = len(expected.splitlines())
        assert ran.stdout == expected
        counted = f"{count} fault{'s' if count > 1 else ''} in {name}"
        assert ran.stderr.splitlines()[-1] == counted
        assert ran.exit_code == 1
    else:
        warnings = folder / "warnings.txt"
        expected = warnings.read_text("utf-8") if warnings.exists() else ""
        assert ran.stdout == f"{expected}{name}: all is well\n"
        assert (ran.stderr, ran.exit_code) == ("", 0)


def test_a_dict_has_the_same_faults_without_places():
    data = json.loads((GOLDEN / "ten_faults" / "config.json").read_text("utf-8"))
    lines = (GOLDEN / "ten_faults" / "faults.txt").read_text("utf-8").splitlines()
    before = copy.deepcopy(data)
    with pytest.raises(ConfigError, match="KeySelecter") as caught:
        resolve_config(data)
    assert str(caught.value).splitlines() == [line.split("  ", 1)[1] for line in lines]
    assert data == before
