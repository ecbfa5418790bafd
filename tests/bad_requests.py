"""Bad requests to a served model, each with what must come of it.

A kind is a named change to a good request, in whatever format chance picks. ``make_request`` gives
number ``n`` of a seed, always the same one. The kinds stand in ``bad_records`` and ``bad_bodies``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import bad_bodies
import bad_records
from request_deck import DECK, LARGE, RARE, Draw
from serving_requests import Model, Request

__all__ = ["bad_bodies", "bad_records", "large_requests", "make_request"]


def make_request(model: Model, seed: int, number: int) -> Request:
    """Request ``number`` of a seed: the deck is gone through in a new order in each round."""
    turn, place = divmod(number, len(DECK) + 1)
    deck = random.Random(f"{seed} {model.name} round {turn}").sample(DECK, len(DECK))
    kind = [*deck, RARE[turn % len(RARE)]][place]
    return kind(Draw(model, random.Random(f"{seed} {model.name} {number}")))


def large_requests(model: Model, seed: int) -> Iterator[Request]:
    """One of each kind of body of 200 MB."""
    for number, kind in enumerate(LARGE):
        yield kind(Draw(model, random.Random(f"{seed} {model.name} large {number}")))
