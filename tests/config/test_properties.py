"""Properties that hold for every config: no check raises, every fault is one line."""

import copy
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recipes import MINIMAL

from barrage_mlflow.config import find_faults, read_config, resolve_config
from barrage_mlflow.config.document import Document
from barrage_mlflow.config.json_reader import read_json
from barrage_mlflow.config.monitors import known_monitors
from barrage_mlflow.config.overrides import apply_overrides
from barrage_mlflow.config.project import code_modules
from barrage_mlflow.config.schema import schema
from barrage_mlflow.errors import ConfigError


def keys_of(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "properties":
                yield from value
            yield from keys_of(value)


KEYS = sorted({*keys_of(schema()), "log_dir", "layers", "odd key", "name", ""})
WORDS = ["mse", "Adam", "KeySelector", "sequential_from_config", "min", "auto", "val_loss", "loss",
         "{{a}}", "{{ b }}", "keras.losses.Huber", "json.loads", "no.such", "", "a\nb", "temporal",
         "keras.metrics.AUC", "barrage.dataset.IdentityTransformer"]  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(WORDS)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
        | st.fixed_dictionaries({"import": st.sampled_from(WORDS)}, optional={"params": inner})
    ),
    max_leaves=25,
)
OUTPUTS = st.lists(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("name", "loss", "loss_weight", "metrics"), VALUES)
    ),
    max_size=3,
)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "dataset": VALUES,
        "model": st.fixed_dictionaries({}, optional={"network": VALUES, "outputs": OUTPUTS}),
        "solver": VALUES,
        "services": VALUES,
    },
)
SETTINGS = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


@SETTINGS
@given(VALUES | CONFIGS)
def test_finding_faults_never_raises(value):
    document = Document(value)
    faults = find_faults(document)
    assert faults or isinstance(value, dict)
    assert all(len(str(fault).splitlines()) == 1 for fault in faults)
    assert len(set(faults)) == len(faults)
    known_monitors(value)


@SETTINGS
@given(CONFIGS)
def test_a_config_resolves_or_has_faults_and_is_not_changed(config):
    before = copy.deepcopy(config)
    try:
        resolved = resolve_config(config)
    except ConfigError:
        pass
    else:
        assert resolve_config(resolved) == resolved
        code_modules(resolved)
    # NaN is not equal to itself, but prints as itself.
    assert repr(config) == repr(before)


@SETTINGS
@given(CONFIGS)
def test_faults_stand_in_the_order_of_the_text(config):
    text = json.dumps(config, indent=1)
    try:
        document = read_json(text, "c.json")
    except ConfigError:
        return
    spots = [fault.place.split(":")[1:] for fault in find_faults(document)]
    order = [(int(line), int(column)) for line, column in spots]
    assert order == sorted(order)


@SETTINGS
@given(
    st.dictionaries(
        st.sampled_from(["solver.epochs", "solver.batch_size", "dataset.seed", "solver.steps",
                         "services.best_checkpoint.mode", "dataset.sample_count",
                         "solver.optimizer.learning_rate", "model.outputs.0.loss_weight"]),
        st.integers(-2, 5).map(str) | st.sampled_from(["max", "0.5", "1e-3", "{}"]),
    )
)  # fmt: skip
def test_what_resolves_is_valid_and_resolves_to_itself(overrides):
    faults = find_faults(apply_overrides(read_config(MINIMAL), overrides))
    assert all(fault.place.startswith("--") for fault in faults)
    if faults:
        return
    resolved = resolve_config(MINIMAL, overrides)
    assert resolve_config(resolved) == resolved
    assert find_faults(read_config(resolved)) == []
    assert resolve_config(MINIMAL, overrides) == resolved
    assert apply_overrides(read_config(resolved), overrides).data == resolved
