from barrage_mlflow.dataset import IdentityTransformer


class PixelScaler(IdentityTransformer):
    network_param_names = ()

    def __init__(self, mode, loader, top: float = 255.0):
        super().__init__(mode, loader)
        self.top = top


class Vocabulary(IdentityTransformer):
    network_param_names = ("vocabulary_size", "shape")

    def __init__(self, mode, loader, largest: int, lower: bool = True):
        super().__init__(mode, loader)
        self.largest, self.lower = largest, lower
