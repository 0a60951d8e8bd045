"""How far two clouds of vectors lie apart (Fréchet distance), and how much of each the other covers.

The distance is that between the two normal distributions with the clouds' means m and covariances S,

    d² = |m₁ - m₂|² + tr S₁ + tr S₂ - 2 tr (S₁ S₂)^½

(Dowson and Landau 1982, doi:10.1016/0047-259X(82)90077-X; of embeddings: arXiv:1706.08500). Precision and recall are
those of arXiv:1904.06991: the share of one cloud that lies no farther from a point of the other than that point's k-th
nearest neighbour in its own cloud.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nuclex.core.errors import InputError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Cover:
    """How much of what was made lies where the real ones do (precision), how much of the real was reached (recall)."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Their harmonic mean; 0 where both are 0."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def frechet_distance(first_ND: NDArray[np.floating], second_MD: NDArray[np.floating], ridge: float = 0.0) -> float:
    """The squared Fréchet distance d² of two clouds (N, D) and (M, D), in squared units of the vectors, at least 0.

    Covariances divide by N - 1. ``ridge`` is added to their diagonals; none is needed, as the root is taken of a
    symmetric matrix by its eigenvalues, and one that is not small beside them hides what it is added to. The estimate
    is too large where there are few vectors: each cloud should have several times as many as they have dimensions.
    InputError for clouds of fewer than two vectors, of unequal widths, or with numbers that are not finite.
    """
    first_ND, second_MD = _cloud("first", first_ND), _cloud("second", second_MD)
    if first_ND.shape[1] != second_MD.shape[1]:
        raise InputError(f"vectors have {first_ND.shape[1]} and {second_MD.shape[1]} numbers; they need equally many")
    apart_D = first_ND.mean(0) - second_MD.mean(0)
    first_DD, second_DD = _covariance(first_ND, ridge), _covariance(second_MD, ridge)
    root_DD = _root(first_DD)
    # S₁S₂ and the symmetric S₁^½ S₂ S₁^½ have the same eigenvalues
    shared_D = np.linalg.eigvalsh(root_DD @ second_DD @ root_DD)
    shared = np.sqrt(np.clip(shared_D, 0, None)).sum()
    return float(max(apart_D @ apart_D + np.trace(first_DD) + np.trace(second_DD) - 2 * shared, 0.0))


def principal_axes(vectors_ND: NDArray[np.floating], count: int) -> tuple[Floats, Floats]:
    """The mean (D,) of a cloud and the ``count`` directions (count, D) along which it is widest, widest first."""
    vectors_ND = _cloud("vectors", vectors_ND)
    if not 1 <= count <= min(len(vectors_ND) - 1, vectors_ND.shape[1]):
        most = min(len(vectors_ND) - 1, vectors_ND.shape[1])
        raise InputError(f"components: found {count}; {len(vectors_ND)} vectors of {vectors_ND.shape[1]} have {most}")
    mean_D = vectors_ND.mean(0)
    return mean_D, np.linalg.svd(vectors_ND - mean_D, full_matrices=False)[2][:count]


def cover(made_ND: NDArray[np.floating], real_MD: NDArray[np.floating], neighbours: int = 3) -> Cover:
    """Precision and recall of a cloud (N, D) against a real one (M, D), by balls around each vector.

    A ball reaches to the vector's ``neighbours``-th nearest one in its own cloud. InputError where a cloud has not more
    vectors than that.
    """
    made_ND, real_MD = _cloud("made", made_ND), _cloud("real", real_MD)
    if min(len(made_ND), len(real_MD)) <= neighbours:
        fewest = min(len(made_ND), len(real_MD))
        raise InputError(f"neighbours: found {neighbours}; with {fewest} vectors fewer are needed")
    return Cover(_share_near(made_ND, real_MD, neighbours), _share_near(real_MD, made_ND, neighbours))


def _cloud(name: str, vectors_ND: NDArray[np.floating]) -> Floats:
    cloud_ND: Floats = np.asarray(vectors_ND, dtype=np.float64)
    if cloud_ND.ndim != 2 or len(cloud_ND) < 2:
        raise InputError(f"{name}: an array of shape {cloud_ND.shape}; two or more vectors (N, D) are needed")
    if not np.isfinite(cloud_ND).all():
        raise InputError(f"{name}: vectors hold numbers that are not finite")
    return cloud_ND


def _covariance(vectors_ND: Floats, ridge: float) -> Floats:
    centred_ND = vectors_ND - vectors_ND.mean(0)
    matrix_DD = centred_ND.T @ centred_ND / (len(centred_ND) - 1) + ridge * np.eye(centred_ND.shape[1])
    return np.asarray(matrix_DD, dtype=np.float64)


def _root(matrix_DD: Floats) -> Floats:
    """The symmetric square root of a matrix without negative eigenvalues."""
    values_D, axes_DD = np.linalg.eigh(matrix_DD)
    return np.asarray((axes_DD * np.sqrt(np.clip(values_D, 0, None))) @ axes_DD.T, dtype=np.float64)


def _share_near(asked_ND: Floats, balls_MD: Floats, neighbours: int) -> float:
    """The share of vectors that lie in a ball around any of others."""
    from scipy.spatial.distance import cdist

    own_MM = cdist(balls_MD, balls_MD)
    radii_M = np.partition(own_MM, neighbours, axis=1)[:, neighbours]  # the nearest of all is the vector itself
    return float((cdist(asked_ND, balls_MD) <= radii_M).any(1).mean())
