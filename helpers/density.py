"""DBSCAN's answer in memory that grows with the rows, and not with the pairs of neighbours.

DBSCAN as usually written lists every neighbourhood before it looks at one. Its answer needs much
less. A row is *core* when its ``min_samples``-th nearest row, itself included, lies within
``eps``; two core rows belong together when a chain of core rows, each within ``eps`` of the next,
joins them; a row that is not core and has no core row within ``eps`` is *noise*. So nearest
neighbours will do, and of each repeated row only one.
"""

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree
from sklearn.neighbors import NearestNeighbors

from helpers.weighted import distinct_rows

NOISE = -1

# A distance this near to eps, relatively, is left to scikit-learn's own sums: it adds the same
# squares up in another order, and may round to the other side of eps.
_TIE = 1e-9
# With more features or fewer rows than these, scikit-learn takes no tree, and rounds differently
# everywhere; then every distance is left to it.
_MOST_FEATURES = 15
_FEWEST_ROWS = 12
_ASKED_TOGETHER = 10_000_000  # distances that scikit-learn may hold at once


class DensityGraph:
    """
    Rows, ready to be clustered by density at any ``eps``.

    Parameters
    ----------
    X : float array of shape (n_samples, n_features)
        Finite numbers on one scale.
    min_samples : int
        How many rows within ``eps``, itself included, make a row core.

    Attributes
    ----------
    k_distances : float array of shape (n_samples,)
        Distance of each row to its ``min_samples``-th nearest row, itself included: the smallest
        ``eps`` that makes it core. Infinite where there are fewer rows.

    References
    ----------
    Ester, Kriegel, Sander and Xu (1996), "A density-based algorithm for discovering clusters in
    large spatial databases with noise", KDD-96.

    Examples
    --------
    >>> graph = DensityGraph(np.array([[0.0], [1.0], [2.0], [9.0]]), min_samples=2)
    >>> graph.k_distances.tolist()
    [1.0, 1.0, 1.0, 7.0]
    >>> graph.core(eps=1.5).tolist(), graph.clusters(eps=1.5).tolist()
    ([True, True, True, False], [0, 0, 0, -1])
    """

    def __init__(self, X, min_samples):
        self._X = X
        self._min_samples = min_samples
        self._rows, counts, self._inverse = distinct_rows(X)
        no_tree = X.shape[1] > _MOST_FEATURES or len(X) < _FEWEST_ROWS
        self._tie = np.inf if no_tree else _TIE

        ranks = range(1, 1 + min(min_samples, len(self._rows)))
        self._distances, self._neighbors = _nearest(self._rows, self._rows, k=ranks)
        enough = counts[self._neighbors].cumsum(axis=1) >= min_samples
        kth = self._distances[np.arange(len(enough)), enough.argmax(axis=1)]
        self._k_distances = np.where(enough[:, -1], kth, np.inf)
        self.k_distances = self._k_distances[self._inverse]
        # The last clusters found: who tries an eps usually goes on to use it.
        self._found = {}

    def core(self, eps):
        """
        Whether each row is core.

        Parameters
        ----------
        eps : float
            Above 0.

        Returns
        -------
        bool array of shape (n_samples,)
        """
        return self._core(eps)[self._inverse]

    def clusters(self, eps):
        """
        Cluster of each row. Core rows, their partition and noise are exactly DBSCAN's.

        Parameters
        ----------
        eps : float
            Above 0.

        Returns
        -------
        int array of shape (n_samples,)
            0 for the cluster with the most rows, and so on; -1 for noise. A row that is near a
            core row without being one goes with the nearest (DBSCAN: with the first that asks).
        """
        if eps in self._found:
            return self._found[eps].copy()
        is_core = self._core(eps)
        labels = np.full(len(is_core), NOISE)
        core, other = np.flatnonzero(is_core), np.flatnonzero(~is_core)
        if len(core):
            labels[core] = self._components(is_core, eps)
            distances, nearest = _nearest(self._rows[core], self._rows[other])
            within = distances <= eps
            unsure = other[np.abs(distances - eps) <= self._tie * eps]
            within[np.isin(other, unsure)] = self._reached(core, unsure, eps)[unsure]
            labels[other[within]] = labels[core[nearest[within]]]
        self._found = {eps: _largest_first(labels[self._inverse])}
        return self._found[eps].copy()

    def _core(self, eps):
        """Whether each distinct row is core."""
        is_core = self._k_distances <= eps
        unsure = np.flatnonzero(np.abs(self._k_distances - eps) <= self._tie * eps)
        for row, found in zip(unsure, self._neighborhoods(unsure, eps), strict=True):
            is_core[row] = len(found) >= self._min_samples
        return is_core

    def _neighborhoods(self, rows, eps):
        """Yield the neighbourhood of each distinct row as scikit-learn's DBSCAN would find it."""
        if len(rows) == 0:
            return
        index = NearestNeighbors(radius=eps).fit(self._X)
        step = max(1, _ASKED_TOGETHER // len(self._X))
        for start in range(0, len(rows), step):
            asked = self._rows[rows[start : start + step]]
            for found in index.radius_neighbors(asked, return_distance=False):
                yield self._inverse[found]

    def _reached(self, core, unsure, eps):
        """Whether each distinct row, if unsure, is in the neighbourhood of a core row."""
        reached = np.zeros(len(self._rows), bool)
        asked = core
        if np.isfinite(self._tie):
            possible = eps * (1 + self._tie)
            near = KDTree(self._rows[core]).query_ball_point(self._rows[unsure], possible)
            asked = core[np.unique(np.concatenate([np.empty(0, int), *near]).astype(int))]
        for found in self._neighborhoods(asked, eps):
            reached[found] = True
        return reached

    def _components(self, is_core, eps):
        """Return a number for each core row, the same for those that chains of core rows join."""
        core = np.flatnonzero(is_core)
        points = self._rows[core]
        place = np.cumsum(is_core) - 1
        sure, possible = eps * (1 - self._tie), eps * (1 + self._tie)

        # Most rows are joined to their nearest neighbours; few groups are left to be compared.
        near = (self._distances[core] <= sure) & is_core[self._neighbors[core]]
        here, column = np.nonzero(near)
        groups = _joined(np.arange(len(core)), here, place[self._neighbors[core[here], column]])
        unsure = np.arange(len(core)) if np.isinf(self._tie) else None
        while unsure is None:
            links, doubts = [], []
            for ones, zeros in _halves(groups):
                distances, nearest = _nearest(
                    points[zeros], points[ones], distance_upper_bound=possible
                )
                joined = distances <= sure
                links.append(np.column_stack([ones[joined], zeros[nearest[joined]]]))
                doubts.append(ones[np.isfinite(distances)])
                if len(doubts[-1]):
                    distances, _ = _nearest(
                        points[ones], points[zeros], distance_upper_bound=possible
                    )
                    doubts.append(zeros[np.isfinite(distances)])
            joined = np.concatenate([np.empty((0, 2), int), *links])
            if len(joined):
                groups = _joined(groups, *joined.T)
            else:
                unsure = np.unique(np.concatenate([np.empty(0, int), *doubts]))
        return self._reach(is_core, groups, unsure, eps)

    def _reach(self, is_core, groups, unsure, eps):
        """
        Join groups along the neighbourhoods of their unsure core rows, in DBSCAN's own order.

        The order matters where rounding puts a row into the neighbourhood of another, and not
        the other way round.
        """
        core = np.flatnonzero(is_core)
        place = np.cumsum(is_core) - 1
        members = {group: unsure[groups[unsure] == group] for group in np.unique(groups[unsure])}
        labels = np.full(groups.max() + 1, NOISE)
        first_seen = place[self._inverse[is_core[self._inverse]]]
        for start in dict.fromkeys(groups[first_seen].tolist()):
            waiting = [start] if labels[start] == NOISE else []
            labels[waiting] = start
            while waiting:
                asked = core[members.get(waiting.pop(), [])]
                for found in self._neighborhoods(asked, eps):
                    reached = np.unique(groups[place[found[is_core[found]]]])
                    new = reached[labels[reached] == NOISE].tolist()
                    labels[new] = start
                    waiting += new
        return labels[groups]


def _nearest(rows, queries, **options):
    """Return distances and positions of the nearest of the rows."""
    return KDTree(rows).query(queries, workers=-1, **options)


def _halves(groups):
    """
    Yield the rows on both sides of a few splits that, together, part any two groups.

    Group g stands on the first side in split b if bit b of g is 1. Group 0, the largest, never
    does: the rows of the first side are those that look for neighbours on the other.
    """
    for bit in range(int(groups.max()).bit_length()):
        first = (groups >> bit) & 1 == 1
        yield np.flatnonzero(first), np.flatnonzero(~first)


def _joined(groups, here, there):
    """Return new groups, the largest being 0, after these pairs of rows have joined theirs."""
    n_groups = int(groups.max()) + 1
    pairs = (np.ones(len(here), bool), (groups[here], groups[there]))
    graph = coo_array(pairs, shape=(n_groups, n_groups))
    return _largest_first(connected_components(graph, directed=False)[1][groups])


def _largest_first(labels):
    """Number labels by their size, largest 0; equal ones by their first row; noise stays."""
    numbers, first, sizes = np.unique(
        labels[labels != NOISE], return_index=True, return_counts=True
    )
    renamed = np.full(labels.max(initial=NOISE) + 2, NOISE)
    renamed[numbers[np.lexsort((first, -sizes))]] = np.arange(len(numbers))
    return renamed[labels]
