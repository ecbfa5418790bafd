import numpy as np

from barrage_mlflow.dataset import RecordLoader


class WindowLoader(RecordLoader):
    def __init__(self, mode, window: int, ahead: int = 1, columns: list[str] | None = None):
        super().__init__(mode)
        self.window, self.ahead, self.columns = window, ahead, columns

    def load(self, record):
        return ({"history": np.array(record["history"])},)
