"""What is said of imports and names that are gone."""

import pytest

from barrage_mlflow.config import keras_index
from barrage_mlflow.config.bygone import GONE, old_imports


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        (
            "from barrage.api import RecordLoader, RecordMode\n"
            "from barrage.dataset import KeySelector\n",
            "write 'from barrage_mlflow.dataset import RecordLoader, RecordMode, KeySelector'",
        ),
        ("from barrage import BarrageModel", "write 'from barrage_mlflow import BarrageModel'"),
        ("from barrage import api", "write 'from barrage_mlflow import dataset'"),
        ("import barrage", "write 'import barrage_mlflow'"),
        (
            "def net():\n    from barrage.model import sequential_from_config\n",
            "write 'from barrage_mlflow.model import sequential_from_config'",
        ),
        (
            "from barrage.utils.io_utils import load_json\nfrom barrage import logger\n",
            "do without barrage.utils.io_utils.load_json, barrage.logger",
        ),
        (
            "from tensorflow.python.keras.layers.core import (\n    Dense as D,\n    Dropout,\n)\n",
            "write 'from keras.layers import Dense, Dropout'",
        ),
        (
            "from tensorflow.python import keras\nimport tf_keras.losses as losses\n",
            "write 'import keras'; write 'from keras import losses'",
        ),
        ("from tensorflow.keras import layers\nfrom . import barrage\nimport barrages\n", ""),
    ],
)
def test_old_imports(text, remedy, tmp_path):
    (tmp_path / "old.py").write_text(text)
    assert old_imports(str(tmp_path / "old.py")) == (remedy and f"in old.py, {remedy}")
    (tmp_path / "old.py").write_text("# All is changed.\n" * 9)
    assert old_imports(str(tmp_path / "old.py")) == ""


@pytest.mark.parametrize(
    "name",
    ["api.DataRecord", "api.Record", "api.RecordLoader", "api.RecordMode", "api.Records",
     "api.RecordScore", "api.RecordTransformer", "dataset.IdentityTransformer", "dataset",
     "dataset.KeySelector", "BarrageModel", "model", "model.sequential_from_config"],
)  # fmt: skip
def test_what_is_to_be_written_exists(name, tmp_path):
    module, _, name = f"barrage.{name}".rpartition(".")
    (tmp_path / "old.py").write_text(f"from {module} import {name}\n")
    found = {}
    exec(old_imports(str(tmp_path / "old.py")).removeprefix("in old.py, write ")[1:-1], found)
    assert name in found


def test_what_is_gone_is_gone():
    assert [names for names in GONE if keras_index.short(*names)] == []
