import keras


class Pinball(keras.losses.Loss):
    def __init__(self, quantile: float, name: str = "pinball"):
        super().__init__(name=name)
        self.quantile = quantile

    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=-1)
