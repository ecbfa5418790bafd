"""How two configs differ, from dicts, files, artifact folders and MLflow runs."""

import json
from pathlib import Path

import mlflow
import pytest
from small import small_config

from barrage_mlflow.commands.diff import find_differences, load_side
from barrage_mlflow.config import resolve_config
from barrage_mlflow.config.diff import diff_configs
from barrage_mlflow.errors import ArtifactError, ConfigError, TrackingError
from barrage_mlflow.workspace import layout as artifacts


def show(differences):
    return [*map(str, differences)]


def mirrored(line):
    """The line that the same difference makes with A and B exchanged."""
    if ": only in A: " in line:
        return line.replace(": only in A: ", ": only in B: ")
    if ": only in B: " in line:
        return line.replace(": only in B: ", ": only in A: ")
    path, _, values = line.partition(": ")
    a, _, b = values.partition(" → ")
    return f"{path}: {b} → {a}"


CASES = (Path(__file__).parent / "golden" / "differences.txt").read_text("utf-8")


@pytest.mark.parametrize("group", CASES.split("\n\n"), ids=lambda group: group.partition("\n")[0])
def test_two_configs_and_how_they_differ(group):
    """Each case is a name, A, B, and the lines of their differences."""
    _, a, b, *expected = [line.strip() for line in group.strip().split("\n")]
    a, b = json.loads(a), json.loads(b)
    assert show(diff_configs(a, b)) == expected
    # The same the other way round, but for which item of two lists is which.
    if not any("[" in line for line in expected):
        assert sorted(show(diff_configs(b, a))) == sorted(map(mirrored, expected))


def test_a_long_value_is_cut_where_it_parts():
    start = "s" * 200
    (line,) = map(str, diff_configs({"a": f"{start}one{start}"}, {"a": f"{start}two"}))
    shared, rest = "s" * 20, "s" * 57
    assert line == f'$.a: …{shared}one{rest}… → …{shared}two"'
    (line,) = map(str, diff_configs({}, {"a": list(range(100))}))
    assert line == f"$.a: only in B: {json.dumps(list(range(100)))[:80]}…"
    (line,) = map(str, diff_configs({"a": "x" * 90}, {"a": "y"}))
    assert line == f'$.a: "{"x" * 79}… → "y"'


def test_a_long_list_is_compared_as_one_value():
    words = [f"word {i}" for i in range(600)]
    (line,) = map(str, diff_configs({"a": words}, {"a": [*words[:300], "new", *words[300:]]}))
    assert line.startswith('$.a: … 298", "word 299", "word 300", ')
    assert ' → … 298", "word 299", "new", "word 300", ' in line


def load(source):
    return load_side(source)[0]


def write(path, config):
    path.write_text(json.dumps(config), "utf-8")
    return str(path)


def test_a_file_gets_its_defaults_and_its_components_are_not_looked_for(tmp_path):
    config = small_config(dataset__loader={"import": "far_away.Loader", "params": {"a": 1}})
    config["model"]["network"] = {"import": "far_away.network"}
    read = load(write(tmp_path / "config.json", config))
    assert read["solver"]["optimizer"] == {"import": "Adam", "learning_rate": 0.001, "params": {}}
    assert read["dataset"]["loader"] == {"import": "far_away.Loader", "params": {"a": 1}}
    file = write(tmp_path / "known.json", small_config())
    assert load(file) == resolve_config(small_config())


def test_a_file_with_faults(tmp_path):
    config = small_config(solver__epoch=3, dataset__seed=-1)
    file = write(tmp_path / "config.json", config)
    with pytest.raises(ConfigError, match="unknown key 'epoch'") as caught:
        load(file)
    assert [fault.path for fault in caught.value.faults] == ["$.dataset.seed", "$.solver"]
    with pytest.raises(ConfigError, match=r"^nowhere\.json: no such file"):
        load("nowhere.json")


def test_an_artifact_folder(tmp_path):
    folder = tmp_path / "artifacts"
    folder.mkdir()
    with pytest.raises(
        ArtifactError,
        match=r"^artifacts: has no resolved_config\.json; expected the artifact folder of a "
        r"training, a config file or an MLflow run$",
    ):
        load("artifacts")
    # As another release may have left it: a key that this one does not know.
    resolved = {**resolve_config(small_config()), "bygone": 1}
    artifacts.write_json(folder / artifacts.RESOLVED_CONFIG, resolved)
    assert load(folder) == resolved
    write(folder / artifacts.RESOLVED_CONFIG, [1])
    with pytest.raises(ArtifactError, match=r"resolved_config\.json: expected a config, an object"):
        load(folder)


def log_run(config, inferred=None):
    """A run with the artifacts that a training leaves, ended."""
    with mlflow.start_run() as run:
        mlflow.log_text(json.dumps(config), artifacts.RESOLVED_CONFIG)
        if inferred:
            mlflow.log_text(json.dumps({"inferred": inferred}), artifacts.RUN)
    return run.info.run_id


def test_two_runs():
    a = resolve_config(small_config())
    b = resolve_config(small_config(solver__epochs=20, solver__steps=5))
    first, second = log_run(a), log_run(b)
    assert load(first) == a
    assert load(f"runs:/{second}") == load(f"runs:/{second}/") == b
    assert show(find_differences(first, second)) == [
        "$.solver.epochs: 3 → 20",
        "$.solver.steps: only in B: 5",
    ]


def test_a_file_of_the_name_of_a_run(tmp_path):
    run_id = log_run(resolve_config(small_config()))
    write(tmp_path / run_id, small_config(solver__epochs=77))
    assert load(run_id)["solver"]["epochs"] == 77
    assert load(f"runs:/{run_id}")["solver"]["epochs"] == 3


def test_a_run_without_a_resolved_config():
    with mlflow.start_run() as run:
        pass
    message = (
        rf"^run {run.info.run_id} \(FINISHED\) has no resolved_config\.json: barrage-mlflow "
        r"stores it when a training begins$"
    )
    with pytest.raises(TrackingError, match=message):
        load(run.info.run_id)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1]", r": expected a config, an object$"), ("{", r":1:2  \$: not JSON: ")],
)
def test_a_run_whose_artifact_is_no_config(text, message, tmp_path):
    run_id = log_run({})
    (path,) = tmp_path.glob(f"**/{run_id}/artifacts/resolved_config.json")
    path.write_text(text)
    with pytest.raises(TrackingError, match=rf"^runs:/{run_id}/resolved_config\.json{message}"):
        load(run_id)


def test_what_a_run_settled_by_itself_is_no_difference_from_a_file_that_leaves_it_out(tmp_path):
    loader = {"import": "FeatureLoader", "params": {"targets": {"label": "category"}}}
    given = {"dataset__loader": loader, "dataset__transformer": {"import": "FeatureTransformer"}}
    config = small_config(**given)
    del config["dataset"]["seed"]
    inferred = {
        "$.dataset.seed": 7,
        "$.dataset.loader.params.features": {"a": "number", "sold": "datetime"},
        "$.dataset.columns.sold": {"kind": "datetime", "format": "%d/%m/%Y"},
    }
    run = log_run(resolve_config(config, inferred), [*inferred])
    file = write(tmp_path / "config.json", config)
    assert find_differences(file, run) == find_differences(run, file) == []
    # What the file has itself is compared, and so is another training.
    loader["params"]["features"] = {"a": "number"}
    file = write(tmp_path / "config.json", small_config(**given, dataset__seed=8))
    differences = [
        '$.dataset.loader.params.features.sold: only in B: "datetime"',
        "$.dataset.seed: 8 → 7",
    ]
    assert show(find_differences(file, run)) == differences
    other = log_run(resolve_config(small_config(**given, dataset__seed=8)))
    declared = '$.dataset.columns: only in B: {"sold": {"kind": "datetime", "format": "%d/%m/%Y"}}'
    assert show(find_differences(other, run)) == [*differences, declared]
