from __future__ import annotations

import numpy as np

from hilum.models.retrieval import generic_features, unit
from tests import made


def test_a_film_is_nearest_to_itself_seen_again_and_chunks_change_nothing() -> None:
    films = [made.film(seed, side) for seed, side in enumerate([None, made.Side.LEFT, made.Side.RIGHT] * 12)]
    noisy = [np.clip(film.astype(int) + 2, 0, 255).astype(np.uint8) for film in films]
    vectors = unit(generic_features(films))
    assert vectors.shape == (36, 320)
    assert ((unit(generic_features(noisy)) @ vectors.T).argmax(1) == np.arange(36)).all()
    np.testing.assert_allclose(unit(generic_features(films[33:])), vectors[33:], atol=1e-4)


def test_unit_rows() -> None:
    np.testing.assert_allclose(unit(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)), [[0.6, 0.8], [0.0, 0.0]])
