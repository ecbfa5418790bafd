import keras


def forecaster(units: int, window: int, ahead: int = 1, dropout: float = 0.0):
    history = keras.Input((window, 1), name="history")
    state = keras.layers.GRU(units, dropout=dropout)(history)
    outputs = {
        "demand": keras.layers.Reshape((ahead, 1))(keras.layers.Dense(ahead)(state)),
        "returns": keras.layers.Dense(1)(state),
    }
    return keras.Model({"history": history}, outputs)
