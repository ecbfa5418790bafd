"""What the layers of each process of a group do for the whole batch."""

from types import SimpleNamespace

import chaos_parts
import keras
import pytest
from keras.src.random.seed_generator import global_seed_generator

from barrage_mlflow.dataset.feeding.share import Share
from barrage_mlflow.distribution.synchronize import synchronize


def test_generators_of_all_processes_have_one_state_and_draw_different_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = chaos_parts.network()  # dropout has a generator, and noise takes Keras's own
    generators = [global_seed_generator(), *network.layers[3]._seed_generators]
    assert len(generators) == 2
    group = SimpleNamespace(count=2, is_chief=False, share=Share(1, 2))
    for generator in generators:
        monkeypatch.setattr(generator, "next", generator.next)
    synchronize(group, network)
    for generator in generators:
        chiefs = keras.random.SeedGenerator(0)
        chiefs.state.assign(generator.state)
        for ordered in (False, True, False):
            assert list(generator.next(ordered)) != list(chiefs.next(ordered))
            assert list(generator.state.numpy()) == list(chiefs.state.numpy())
