"""Import strings: aliases, short names, old paths, the project's own code, and bad ones."""

import importlib
import sys

import keras
import pytest
from keras.src.losses import ALL_OBJECTS_DICT as KERAS_LOSSES
from keras.src.metrics import ALL_OBJECTS_DICT as KERAS_METRICS
from keras.src.optimizers import ALL_OBJECTS_DICT as KERAS_OPTIMIZERS

from barrage_mlflow.config import add_project_path, code_modules, keras_index, load_import
from barrage_mlflow.config.document import Document
from barrage_mlflow.config.project import own_modules
from barrage_mlflow.config.signatures import Accepts
from barrage_mlflow.config.targets import base_classes, wanted
from barrage_mlflow.errors import ImportPathError


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Writes modules of a project that is on the Python path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**modules):
        for name, text in modules.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


def refusal(path, kind):
    with pytest.raises(ImportPathError, match=r".") as caught:
        load_import(path, kind)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("alias", sorted(KERAS_LOSSES))
def test_every_loss_that_keras_resolves(alias):
    resolved = KERAS_LOSSES[alias]
    if alias == "LossFunctionWrapper":
        pytest.skip("Keras keeps it to itself: it takes a Python function")
    found = load_import(alias, "loss")
    assert issubclass(found, keras.losses.Loss)
    if isinstance(resolved, type):
        assert found is resolved
    else:
        assert found.__name__.lower() == resolved.__name__.replace("_", "").lower()


@pytest.mark.parametrize("alias", sorted(KERAS_METRICS))
def test_every_metric_that_keras_resolves(alias):
    found = load_import(alias, "metric")
    assert found == alias if alias.lower() == "accuracy" else found is KERAS_METRICS[alias]


@pytest.mark.parametrize("alias", sorted(KERAS_OPTIMIZERS))
def test_every_optimizer_that_keras_resolves(alias):
    if alias == "optimizermap":
        pytest.skip("it is listed among the optimizers but is none")
    assert load_import(alias, "optimizer") is KERAS_OPTIMIZERS[alias]


@pytest.mark.parametrize(
    ("kind", "alias"),
    [("loss", "crossentropy"), ("loss", "ce"), ("loss", "CE"), ("metric", "accuracy"),
     ("metric", "acc"), ("metric", "Accuracy")],
)  # fmt: skip
def test_aliases_that_depend_on_the_shapes_stay_strings(kind, alias):
    assert load_import(alias, kind) == alias


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        ("metric", "huber", "losses.Huber"),
        ("metric", "Poisson", "metrics.Poisson"),
        ("metric", "keras.losses.Huber", "losses.Huber"),
        ("metric", "keras.metrics.Accuracy", "metrics.Accuracy"),
        ("metric", "tensorflow.python.keras.metrics.AUC", "metrics.AUC"),
        ("loss", "tensorflow.python.keras.losses.KLDivergence", "losses.KLDivergence"),
        ("loss", "tf.keras.losses.Huber", "losses.Huber"),
        ("optimizer", "adamW", "optimizers.AdamW"),
        ("optimizer", "tensorflow.keras.optimizers.SGD", "optimizers.SGD"),
        ("optimizer", "tf.keras.optimizers.legacy.Adam", "optimizers.Adam"),
        ("optimizer", "keras.optimizers.experimental.Nadam", "optimizers.Nadam"),
        ("optimizer", "tensorflow.python.keras.optimizer_v2.adam.Adam", "optimizers.Adam"),
        (
            "optimizer",
            "tensorflow.python.keras.optimizer_v2.gradient_descent.SGD",
            "optimizers.SGD",
        ),
        ("schedule", "CosineDecay", "optimizers.schedules.CosineDecay"),
        ("schedule", "keras.optimizers.schedules.CosineDecay", "optimizers.schedules.CosineDecay"),
        (
            "schedule",
            "tensorflow.python.keras.optimizer_v2.learning_rate_schedule.ExponentialDecay",
            "optimizers.schedules.ExponentialDecay",
        ),
        ("layer", "Dense", "layers.Dense"),
        ("layer", "Input", "layers.InputLayer"),
        ("layer", "tf.keras.Input", "layers.InputLayer"),
        ("layer", "keras.layers.Input", "layers.InputLayer"),
        ("layer", "tensorflow.python.keras.engine.input_layer.Input", "layers.InputLayer"),
        ("layer", "tensorflow.python.keras.layers.core.Dense", "layers.Dense"),
        ("layer", "tensorflow.python.keras.layers.recurrent.LSTM", "layers.LSTM"),
        (
            "layer",
            "tf.keras.layers.experimental.preprocessing.Normalization",
            "layers.Normalization",
        ),
        ("callback", "EarlyStopping", "callbacks.EarlyStopping"),
        ("callback", "tensorflow.python.keras.callbacks.CSVLogger", "callbacks.CSVLogger"),
        ("network", "tensorflow.python.keras.engine.sequential.Sequential", "models.Sequential"),
        ("network", "keras.applications.MobileNetV2", "applications.MobileNetV2"),
        ("network", "keras.Sequential", "Sequential"),
    ],
)  # fmt: skip
def test_paths_into_keras(kind, path, expected):
    found = keras
    for part in expected.split("."):
        found = getattr(found, part)
    assert load_import(path, kind) is found


def test_paths_into_barrage():
    import barrage_mlflow.dataset as dataset
    import barrage_mlflow.model as model

    for path in (
        "KeySelector",
        "barrage.dataset.KeySelector",
        "barrage_mlflow.dataset.KeySelector",
    ):
        assert load_import(path, "loader") is dataset.KeySelector
    assert load_import("IdentityTransformer", "transformer") is dataset.IdentityTransformer
    for path in ("sequential_from_config", "barrage.model.sequential_from_config"):
        assert load_import(path, "network") is model.sequential_from_config


def test_old_paths_are_mapped_before_anything_is_imported(monkeypatch):
    imported = []
    real = importlib.import_module
    monkeypatch.setattr(
        importlib, "import_module", lambda name: imported.append(name) or real(name)
    )
    keras_index.at.cache_clear()
    load_import("tensorflow.python.keras.optimizer_v2.adam.Adam", "optimizer")
    load_import("barrage.dataset.KeySelector", "loader")
    assert set(imported) == {"keras", "barrage_mlflow", "barrage_mlflow.dataset"}


def test_paths_into_the_project(project):
    project(
        shop="from barrage_mlflow.dataset import RecordLoader\n"
        "class Loader(RecordLoader):\n    def load(self, record): ...\n"
        "class Outer:\n    class Inner(Loader): ...\n"
        "def make(mode): ...\n",
        store__parts="from shop import Loader\n",
    )
    loader = load_import("shop.Loader", "loader")
    assert loader.__module__ == "shop"
    assert load_import("store.parts.Loader", "loader") is loader
    assert load_import("shop.Outer.Inner", "loader").__name__ == "Inner"
    assert load_import("shop.make", "loader").__name__ == "make"


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        ("loss", "msee", "'msee' is not the name of a loss in Keras; did you mean 'mse'?"),
        (
            "optimizer",
            "zzz",
            "'zzz' is not the name of an optimizer in Keras; "
            "give the whole path of one of your own",
        ),
        (
            "loss",
            "tensorflow.python.keras.losses.Hubr",
            "'tensorflow.python.keras.losses.Hubr' is not the name of a loss in Keras; "
            "did you mean 'Huber'?",
        ),
        (
            "network",
            "tensorflow.python.keras.models.Nothing",
            "'tensorflow.python.keras.models.Nothing' is not the name of a network in Keras; "
            "give the whole path of one of your own",
        ),
        (
            "layer",
            "tf.keras.layers.Dens",
            "'tf.keras.layers.Dens' leads nowhere: the installed Keras has no 'keras.layers.Dens'; "
            "did you mean 'Dense'?",
        ),
        (
            "network",
            "keras.Sequentiall",
            "'keras.Sequentiall' leads nowhere: the installed Keras has no 'keras.Sequentiall'; "
            "did you mean 'Sequential'?",
        ),
        (
            "layer",
            "keras.zzz.qqq",
            "'keras.zzz.qqq' leads nowhere: the installed Keras has no 'keras.zzz.qqq'",
        ),
        (
            "loss",
            "keras.metrics.MeanSquaredError",
            "'keras.metrics.MeanSquaredError' is no keras.losses.Loss; "
            "did you mean 'keras.losses.MeanSquaredError'?",
        ),
        ("network", "keras.layers.Dense", "'keras.layers.Dense' is no keras.Model"),
        ("loss", "keras.losses", "'keras.losses' is no keras.losses.Loss"),
        (
            "loader",
            "keras.layers.Dense",
            "'keras.layers.Dense' is no barrage_mlflow.dataset.RecordLoader",
        ),
        (
            "metric",
            "keras.layers.Dense",
            "'keras.layers.Dense' is no keras.metrics.Metric or keras.losses.Loss",
        ),
        (
            "loader",
            "KeySelectr",
            "'KeySelectr' is not the name of a loader in barrage_mlflow.dataset; "
            "did you mean 'KeySelector'?",
        ),
        (
            "augmentor",
            "jitter",
            "'jitter' is not the name of an augmentor in barrage_mlflow.dataset; "
            "give the whole path of one of your own",
        ),
        (
            "network",
            "sequentialfromconfig",
            "'sequentialfromconfig' is not the name of a network in barrage_mlflow.model; "
            "did you mean 'sequential_from_config'?",
        ),
        (
            "transformer",
            "RecordTransformer",
            "'RecordTransformer' is abstract: it does not define fit, load, postprocess, save, "
            "transform",
        ),
        (
            "loader",
            "shopp.Loader",
            "'shopp.Loader' leads nowhere: no module 'shopp' on the Python path; "
            "did you mean 'shop'?",
        ),
        (
            "loader",
            "shop.Zebra",
            "'shop.Zebra' leads nowhere: module 'shop' has no 'Zebra'; "
            "known names: 'Loader', 'NUMBER', 'Plain', 'make'",
        ),
        (
            "loader",
            "store.part.Loader",
            "'store.part.Loader' leads nowhere: module 'store' has no 'part'; "
            "did you mean 'parts'?",
        ),
        ("loader", "store.parts", "'store.parts' is a module, expected a "
         "barrage_mlflow.dataset.RecordLoader"),
        (
            "loader",
            "shop.Loader.zzz",
            "'shop.Loader.zzz' leads nowhere: class 'shop.Loader' has no 'zzz'; "
            "known names: 'size'",
        ),
        ("loader", "shop.Plain", "'shop.Plain' is no barrage_mlflow.dataset.RecordLoader"),
        ("augmentor", "shop.Plain", "'shop.Plain' is a class, expected a function "
         "f(data_record, **params)"),
        ("augmentor", "shop.NUMBER", "'shop.NUMBER' is of type int, expected a function"),
        ("loader", "", "'' is not a Python path; write it as package.module.Name"),
        ("loader", "a..b", "'a..b' is not a Python path; write it as package.module.Name"),
        ("loader", "a.class", "'a.class' is not a Python path; write it as package.module.Name"),
        ("loader", "a/b.py", "'a/b.py' is not a Python path; write it as package.module.Name"),
    ],
)  # fmt: skip
def test_paths_that_lead_nowhere(project, kind, path, expected):
    project(
        shop="NUMBER = 3\nclass Plain: ...\ndef make(): ...\nclass Loader:\n    size = 3\n",
        store__parts="",
    )
    assert refusal(path, kind) == expected


def test_a_module_that_raises_keeps_its_exception(project):
    project(
        broken="raise KeyError('no\\nsuch key')",
        leaving="import sys\nsys.exit(3)",
        needy="import no_such_library",
        needy_from="from json import no_such_name",
        outer="import needy",
    )
    assert refusal("broken.Loader", "loader") == (
        "'broken.Loader': importing module 'broken' raised KeyError: 'no\\nsuch key'"
    )
    assert "raised SystemExit: 3" in refusal("leaving.Loader", "loader")
    for module in ("needy", "outer"):
        assert refusal(f"{module}.Loader", "loader") == (
            f"'{module}.Loader': importing module '{module}' raised ModuleNotFoundError: "
            "No module named 'no_such_library'"
        )
    assert "raised ImportError: cannot import name" in refusal("needy_from.Loader", "loader")
    with pytest.raises(ImportPathError, match="broken") as caught:
        load_import("broken.Loader", "loader")
    assert type(caught.value.__cause__) is KeyError


def test_a_module_that_loads_names_on_demand_may_fail_at_it(project):
    project(lazy="def __getattr__(name):\n    raise ValueError('x' * 500)\n")
    assert refusal("lazy.Loader", "loader") == (
        f"'lazy.Loader': importing module 'lazy' raised ValueError: {'x' * 300}…"
    )


@pytest.mark.parametrize(
    ("statement", "module", "instead"),
    [
        ("import barrage", "barrage", "import barrage_mlflow"),
        ("from barrage.dataset import RecordLoader", "barrage", "import barrage_mlflow"),
    ],
)
def test_a_module_that_imports_the_old_package_is_told_what_to_write(
    project, monkeypatch, statement, module, instead
):
    monkeypatch.setitem(sys.modules, "barrage", None)
    project(old=statement)
    name = "barrage.dataset" if "dataset" in statement else module
    path = f"'old.Loader': module 'old' imports {name!r}, the package of old; "
    path += f"write '{instead}{name.removeprefix('barrage')}' there instead"
    assert refusal("old.Loader", "loader") == path


def test_a_class_of_the_old_package_is_told_what_to_derive_from(project):
    project(
        barrage__dataset="class RecordLoader: ...\n",
        old="from barrage.dataset import RecordLoader\nclass Loader(RecordLoader): ...\n",
    )
    for name in [name for name in sys.modules if name.split(".")[0] == "barrage"]:
        del sys.modules[name]
    assert refusal("old.Loader", "loader") == (
        "'old.Loader' is no barrage_mlflow.dataset.RecordLoader; "
        "derive it from barrage_mlflow.dataset.RecordLoader, not from barrage's"
    )


def test_a_class_of_old_keras_is_told_what_to_derive_from(project):
    project(
        tf_keras="class Metric: ...\n",
        old="import tf_keras\nclass Metric(tf_keras.Metric): ...\n",
    )
    assert refusal("old.Metric", "metric") == (
        "'old.Metric' is no keras.metrics.Metric or keras.losses.Loss; "
        "derive it from the class of the installed Keras, not from an old one"
    )


def test_keras_that_cannot_be_imported(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    keras_index.at.cache_clear()
    assert refusal("keras.losses.Huber", "loss") == (
        "Keras cannot be imported: ModuleNotFoundError: import of keras halted; None in sys.modules"
    )


def test_what_each_kind_must_be():
    assert wanted("augmentor") == "function"
    assert [base.__name__ for base in base_classes("transformer")] == ["RecordTransformer"]
    assert "losses" in keras_index.members("")


def test_signatures():
    assert Accepts.of(dict.fromkeys).any_name is False
    assert Accepts.of(type) == Accepts(any_count=True, any_name=True)
    accepts = Accepts.of(lambda a, /, b, *c, d, **e: None)
    assert accepts == Accepts(("a", "b"), ("b", "d"), ("a", "b", "d"), True, True)
    assert accepts.shown() == "(a, b, d, *, **)"
    assert [str(problem) for problem in accepts.problems(["z"], ("mode",))] == [
        "missing params 'b', 'd'"
    ]
    (problem,) = Accepts.of(lambda: None).problems([], ("mode", "loader"))
    assert str(problem) == "it must accept (mode, loader) by position, but accepts ()"


def test_code_modules_are_the_projects_own(project, tmp_path):
    project(mine="", package__part="", space__inner="")
    (tmp_path / "package" / "__init__.py").touch()
    config = {
        "a": {"import": "mine.Loader"},
        "b": [{"import": "package.sub.f", "params": {"layers": [{"import": "space.inner.L"}]}}],
        "c": {"import": "numpy.flip"},
        "d": {"import": "json.loads"},
        "e": {"import": "tf.keras.losses.Huber"},
        "f": {"import": "barrage.dataset.KeySelector"},
        "g": {"import": "mse"},
        "h": {"import": "no_such.thing"},
        "i": {"import": 3},
    }
    assert code_modules(config) == ["mine", "package", "space"]
    assert {"mine", "package"} <= own_modules()


def test_a_module_made_by_hand_is_nobodys_code(monkeypatch):
    monkeypatch.setitem(sys.modules, "made", type(sys)("made"))
    assert code_modules({"import": "made.Loader"}) == []


def test_the_config_files_folder_and_the_working_folder_are_on_the_path(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", ["/somewhere"])
    add_project_path(Document({}, "folder/config.json"))
    assert sys.path == [str(tmp_path / "folder"), str(tmp_path), "/somewhere"]
    add_project_path(Document({}, "folder/config.json"))
    add_project_path(Document({}))
    assert sys.path == [str(tmp_path / "folder"), str(tmp_path), "/somewhere"]
