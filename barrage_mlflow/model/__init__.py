"""The ``model`` section of a config: network and objective.

Example:
    >>> from barrage_mlflow.model import sequential_from_config
    >>> layers = [
    ...     {"import": "Input", "params": {"shape": 4, "name": "flower"}},
    ...     {"import": "Dense", "params": {"units": 3, "name": "species"}},
    ... ]
    >>> sequential_from_config(layers).output_shape
    (None, 3)
"""

from barrage_mlflow.model.features import feature_network as feature_network
from barrage_mlflow.model.network import build_network as build_network
from barrage_mlflow.model.sequential import sequential_from_config as sequential_from_config
