"""Joint image and text labels: the mean states of an RNN, clustered in each disease (arXiv 1603.08486, section 5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from hilum.text.mesh_words import NORMAL


def clusters_of(count: int, per_cluster: int) -> int:
    """Into how many clusters a disease of ``count`` studies is split: ``count / per_cluster``, rounded half up, at
    least one; ``per_cluster`` 0 splits nothing."""
    return max(1, int(count / per_cluster + 0.5)) if per_cluster else 1


def joint_labels(
    states_SH: NDArray[np.float32], diseases: Sequence[str], order: Sequence[str], per_cluster: int, seed: int
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The disease of each joint label, and the label (S,) of each study, whose ``diseases`` are all in ``order``.

    ``NORMAL`` keeps the label 0 for itself and is not split; then come the clusters (k-means) of each disease in
    ``order``, of a disease the largest first. Of equal states no two clusters are made.
    """
    labels = [NORMAL]
    label_S = np.zeros(len(diseases), np.int64)
    for disease in order:
        here = np.array([place for place, one in enumerate(diseases) if one == disease], np.int64)
        if not here.size:
            continue
        states_NH = states_SH[here].astype(np.float64)
        many = min(clusters_of(here.size, per_cluster), len(np.unique(states_NH, axis=0)))
        found_N = KMeans(many, n_init=10, random_state=seed).fit_predict(states_NH)
        sizes = np.bincount(found_N, minlength=many)
        rank = np.empty(many, np.int64)
        rank[np.argsort(-sizes, kind="stable")] = np.arange(many)
        label_S[here] = len(labels) + rank[found_N]
        labels += [disease] * many
    return tuple(labels), label_S
