"""Two validators of a schema that are not ours, and what is looked up in one."""

from pathlib import Path

import jsonschema
import jsonschema_rs

from barrage_mlflow.config.paths import show_path

GOLDEN = Path(__file__).parent / "config" / "golden"
EXAMPLES = Path(__file__).parents[1] / "examples"


class Validators:
    """A schema in two validators, neither of them ours."""

    def __init__(self, tree):
        self.tree = tree
        self.python = jsonschema.Draft202012Validator(tree)
        self.rust = jsonschema_rs.Draft202012Validator(tree)

    def accepts(self, data):
        accepted = self.python.is_valid(data)
        assert self.rust.is_valid(data) is accepted
        return accepted

    def errors(self, data):
        """Path and keyword of every error, those of the choices of an ``anyOf`` too."""
        rest = list(self.python.iter_errors(data))
        found = set()
        while rest:
            error = rest.pop()
            rest += error.context
            found.add((show_path(tuple(error.absolute_path)), error.validator))
        return found


def base_config():
    stopping = {"monitor": "loss", "mode": "min", "patience": 1, "min_delta": 0}
    return {
        "dataset": {
            "loader": {"import": "golden_parts.Loader", "params": {}},
            "transformer": {"import": "IdentityTransformer"},
        },
        "model": {
            "network": {"import": "golden_parts.network", "params": {"units": 3}},
            "outputs": [{"name": "y", "loss": {"import": "mse"}}],
        },
        "solver": {"optimizer": {"import": "Adam", "learning_rate": 0.1}},
        "services": {"train_early_stopping": stopping},
    }


def completed(node):
    """The names that an editor completes, each with its description."""
    names = {}
    for choice in node["properties"]["import"]["anyOf"]:
        names |= dict.fromkeys(choice.get("enum", ()), "")
        if "const" in choice:
            names[choice["const"]] = choice["description"]
    assert node["properties"]["import"]["anyOf"][-1] == {"type": "string", "minLength": 1}
    return names
