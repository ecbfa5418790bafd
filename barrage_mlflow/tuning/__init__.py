"""A search over one config: trials of its values, each a training."""
