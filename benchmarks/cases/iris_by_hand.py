"""Iris as a practitioner writes it by hand: ``iris_by_hand.py TRAIN VALIDATION EPOCHS``.

It does what ``examples/iris/config.json`` asks for: the same network, optimizer and batch size, the
same services as callbacks, and a run with the best model in MLflow. Autolog's own checkpoints and
model are off: they would double the callbacks', and it takes seconds to guess the requirements.
"""

from __future__ import annotations

import sys

import keras
import mlflow
import numpy as np
import pandas as pd

COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def read(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of records."""
    frame = pd.read_csv(path)
    return frame[COLUMNS].to_numpy("float32"), frame["species"].to_numpy()


def main(train_file: str, validation_file: str, epochs: int) -> None:
    """Train, track and log."""
    validation = read(validation_file)
    keras.utils.set_random_seed(42)
    network = keras.Sequential(
        [
            keras.Input((len(COLUMNS),)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    network.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    mlflow.tensorflow.autolog(checkpoint=False, log_models=False)
    with mlflow.start_run():
        network.fit(
            *read(train_file),
            validation_data=validation,
            batch_size=16,
            epochs=epochs,
            callbacks=[
                keras.callbacks.ModelCheckpoint("best.keras", "val_loss", save_best_only=True),
                keras.callbacks.ModelCheckpoint("last.keras"),
                keras.callbacks.TensorBoard("tensorboard"),
                keras.callbacks.CSVLogger("report.csv"),
                keras.callbacks.EarlyStopping("loss", patience=epochs),
                keras.callbacks.EarlyStopping("val_loss", patience=epochs),
            ],
            verbose=0,
        )
        best = keras.models.load_model("best.keras")
        few = validation[0][:5]
        mlflow.tensorflow.log_model(
            best,
            name="model",
            signature=mlflow.models.infer_signature(few, best(few).numpy()),
            input_example=few,
            pip_requirements=[f"keras=={keras.__version__}", "tensorflow"],
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
