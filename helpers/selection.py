"""Choosing K: the evidence for each number of clusters, and a rule that gives its reasons."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score
from sklearn.utils import check_array, check_random_state
from threadpoolctl import threadpool_limits

from helpers.stability import STABLE, bootstrap_stability, is_noise, no_structure_control
from helpers.text import listed
from helpers.weighted import binned_rows, distinct_rows

# Above this many rows, restarts run on the occupied cells of a grid.
MANY_ROWS = 5_000
# Fewer occupied cells than this mean that a few outliers have stretched the grid.
FEW_CELLS = 500

# Parts of the sample that are left out in turn for the standard error of a silhouette.
JACKKNIFE_GROUPS = 20

# How far above the best of 20 controls a silhouette has to be for clusters to be called clear. Of
# six kinds of customers without groups, 200 or more of them, none came near it; the course's
# fixture, whose groups are real, passes it by as much again. See is_clear for what passes besides.
CLEAR_MARGIN = 0.03


def fit_kmeans(X, n_clusters, *, n_init=20, random_state=None):
    """
    k-means with many restarts at the cost of few.

    The restarts run on distinct rows with their counts, or, where there are more than 5,000 rows,
    on the occupied cells of a grid (unless outliers leave too few of those); the best start is
    then refined on all rows.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    n_clusters : int
        At most the number of distinct rows.
    n_init : int, default=20
        Restarts. On the course's data, 20 find the same optimum from every seed tried.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    KMeans
        Fitted on all of ``X``.
    """
    X = check_array(X, dtype=np.float64)
    rows, counts = [], []
    if len(X) > MANY_ROWS:
        rows, counts, _ = binned_rows(X)
    if len(rows) < FEW_CELLS:
        rows, counts, _ = distinct_rows(X)
    start = KMeans(n_clusters, n_init=n_init, tol=0, random_state=random_state)
    # One thread: sums do not depend on the number of cores, and small tables are faster so.
    with threadpool_limits(1):
        start.fit(rows, sample_weight=counts)
        # tol=0: stop at a fixed point, so that starts that lead to one optimum agree in every row.
        return KMeans(n_clusters, init=start.cluster_centers_, n_init=1, tol=0).fit(X)


def clustering_evidence(X, labels, *, sample_size=2_000, random_state=None):
    """
    Internal measures of one clustering.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    labels : int array of shape (n_samples,)
        At least two clusters. Noise, the rows labelled -1, is left out: the measures are those of
        the other rows, and look the better the more is called noise. Tell its share beside them.
    sample_size : int, default=2_000
        Rows on which the silhouette is computed, drawn from every cluster in proportion: the
        full one takes quadratic time. At 2,000 its standard error is about 0.005.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    dict
        "silhouette" (Rousseeuw 1987; -1 to 1, more is better) and its standard error
        "silhouette_se" (by a jackknife over 20 parts of the sample, since the rows share their
        distances), "davies_bouldin" (1979; less is better), "calinski_harabasz" (more is
        better), "smallest_share" (of all rows, in the smallest cluster).

    Raises
    ------
    ValueError
        If there are fewer than two clusters, or as many as rows.
    """
    X = check_array(X, dtype=np.float64)
    n_rows = len(X)
    clusters, codes = np.unique(labels, return_inverse=True)
    clustered = ~is_noise(clusters)[codes]
    X = X[clustered]
    _, codes, sizes = np.unique(codes[clustered], return_inverse=True, return_counts=True)
    if not 2 <= len(sizes) < len(X):
        raise ValueError(
            f"{len(X):,} rows in {len(sizes):,} clusters, noise left out, cannot be judged: two "
            "clusters are needed, and fewer than rows."
        )
    silhouette, error = _sampled_silhouette(X, codes, sizes, sample_size, random_state)
    return {
        "silhouette": silhouette,
        "silhouette_se": error,
        "davies_bouldin": davies_bouldin_score(X, codes),
        "calinski_harabasz": calinski_harabasz_score(X, codes),
        "smallest_share": sizes.min() / n_rows,
    }


def _sampled_silhouette(X, codes, sizes, sample_size, random_state):
    """Mean silhouette over a sample stratified by cluster, and its standard error."""
    rng = check_random_state(random_state)
    share = min(1.0, sample_size / len(X))
    # At least 30 of a cluster (or all it has), or its own distances would be mostly chance.
    wanted = np.minimum(sizes, np.maximum(np.ceil(sizes * share), 30)).astype(int)
    order = rng.permutation(len(X))
    by_cluster = order[np.argsort(codes[order], kind="stable")]
    rank = np.arange(len(X)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = rank < np.repeat(wanted, sizes)
    sample, group = by_cluster[chosen], rank[chosen] % JACKKNIFE_GROUPS

    # Summed distances to each group's part of each cluster: leaving a group out is a subtraction.
    n_clusters = len(sizes)
    parts = np.zeros((len(sample), JACKKNIFE_GROUPS * n_clusters))
    parts[np.arange(len(sample)), group * n_clusters + codes[sample]] = 1
    distances = cdist(X[sample], X[sample]) @ parts
    distances = distances.reshape(-1, JACKKNIFE_GROUPS, n_clusters)
    counts = parts.sum(axis=0).reshape(JACKKNIFE_GROUPS, n_clusters)

    def mean_without(out):
        kept = group != out
        rest = np.arange(JACKKNIFE_GROUPS) != out
        return _mean_silhouette(
            distances[kept][:, rest].sum(axis=1),
            counts[rest].sum(axis=0),
            codes[sample[kept]],
            sizes,
        )

    mean = mean_without(None)
    jackknife = np.array([mean_without(out) for out in range(JACKKNIFE_GROUPS)])
    spread = np.sum((jackknife - jackknife.mean()) ** 2)
    return mean, float(np.sqrt((JACKKNIFE_GROUPS - 1) / JACKKNIFE_GROUPS * spread))


def _mean_silhouette(distances, counts, codes, sizes):
    """Mean silhouette, each cluster with its share of all rows, from summed distances."""
    rows = np.arange(len(codes))
    with np.errstate(divide="ignore", invalid="ignore"):
        own = distances[rows, codes] / (counts[codes] - 1)
        others = distances / counts
        others[rows, codes] = np.inf
        other = np.where(np.isnan(others), np.inf, others).min(axis=1)
        widths = (other - own) / np.maximum(own, other)
    # A row alone in its cluster, or without another cluster, has a silhouette of 0 by definition.
    widths[~np.isfinite(widths)] = 0
    weights = np.where(counts > 0, sizes, 0)
    means = np.bincount(codes, widths, minlength=len(sizes)) / np.maximum(counts, 1)
    return float(weights @ means / weights.sum())


def sweep_k(X, k_range=range(2, 11), *, sample_size=2_000, n_boot=20, random_state=None):
    """
    k-means evidence for each number of clusters.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Scaled: distances should mean something.
    k_range : iterable of int, default=range(2, 11)
        Numbers of clusters to try. Those above half the number of distinct rows (but for 2) are
        left out: a bootstrap sample has fewer rows, and clusters of one row mean nothing.
    sample_size : int, default=2_000
        Rows for the silhouette and the bootstrap, so that the cost grows with the rows, not with
        their square.
    n_boot : int, default=20
        Bootstrap samples for each K: enough to tell .6 from .75, which is all that is asked here.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    DataFrame indexed by "n_clusters"
        "inertia", "silhouette", "silhouette_se", "davies_bouldin", "calinski_harabasz",
        "smallest_share" as in ``clustering_evidence``, and "stability", the mean Jaccard
        similarity of the least stable cluster (Hennig 2007).

    Raises
    ------
    ValueError
        If ``X`` has fewer than three distinct rows, or no K of ``k_range`` can be tried.
    """
    X = check_array(X, dtype=np.float64)
    # One seed for every K, so that all of them are judged on the same rows.
    seed = random_state
    if not isinstance(seed, Integral):
        seed = check_random_state(random_state).randint(2**31 - 1)
    n_distinct = len(distinct_rows(X)[0])
    possible = [k for k in k_range if 2 <= k <= max(2, n_distinct // 2) and k < n_distinct]
    if not possible:
        raise ValueError(
            f"No number of clusters in {list(k_range)} can be tried: n_samples={len(X)} rows hold "
            f"{n_distinct} different ones, and K must be from 2 to half of that."
        )
    sample = X[check_random_state(seed).permutation(len(X))[:sample_size]]
    table = {}
    for k in possible:
        model = fit_kmeans(X, k, random_state=seed)
        evidence = clustering_evidence(X, model.labels_, sample_size=sample_size, random_state=seed)
        again = KMeans(k, n_init=3)
        stability = bootstrap_stability(again, sample, n_boot, random_state=seed)
        table[k] = {"inertia": model.inertia_, **evidence, "stability": stability.min()}
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("n_clusters")


def sweep_labels(X, k_range, *, random_state=None):
    """
    Cluster of each row for each number of clusters, the clusters that ``sweep_k`` judges.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    k_range : iterable of int
        Those of the evidence.
    random_state : int, default=None
        The same as for ``sweep_k``.

    Returns
    -------
    DataFrame of shape (n_samples, n_k)
        A column for each K. A cluster bears the number of the cluster of the K before with which it
        shares most rows, as far as each can have one, so that it keeps its colour in a picture.

    Examples
    --------
    >>> rows = np.array([[0.0], [1.0], [9.0], [10.0], [30.0], [31.0]])
    >>> labels = sweep_labels(rows, [2, 3], random_state=0)
    >>> sorted(set(zip(labels[2] == labels[2][0], labels[3] == labels[3][0])))
    [(False, False), (True, False), (True, True)]
    """
    table = {}
    before = np.zeros(len(X), dtype=int)
    for k in k_range:
        labels = fit_kmeans(X, k, random_state=random_state).labels_
        shared = np.zeros((k, max(k, before.max() + 1)), dtype=int)
        np.add.at(shared, (labels, before), 1)
        numbers = linear_sum_assignment(shared, maximize=True)[1]
        table[k] = before = numbers[labels]
    return pd.DataFrame(table)


def control_silhouettes(X, n_clusters, *, n_controls=20, sample_size=2_000, random_state=None):
    """
    Silhouettes that k-means reaches on data like ``X`` that has no groups.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    n_clusters : int
    n_controls : int, default=20
        Controls drawn by ``no_structure_control``. On data without groups, one of 20 beats the
        result about 19 times in 20.
    sample_size : int, default=2_000
        Rows of each control.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    array of shape (n_controls,)
        One silhouette each, for ``is_clear``.
    """
    X = check_array(X, dtype=np.float64)
    rng = check_random_state(random_state)
    sample = X[rng.permutation(len(X))[:sample_size]]
    silhouettes = np.empty(n_controls)
    for i in range(n_controls):
        control = no_structure_control(sample, random_state=rng)
        labels = fit_kmeans(control, n_clusters, random_state=rng).labels_
        evidence = clustering_evidence(control, labels, random_state=rng)
        silhouettes[i] = evidence["silhouette"]
    return silhouettes


def is_clear(silhouette, controls):
    """
    Whether clusters are clearer than in data without groups.

    A yes has two meanings: groups, or one cloud of a shape that the control lacks. The control
    keeps how strongly two features rise together, and nothing else of how they belong together.
    So one cloud that is curved, or spreads out like a fan, is clear as well; a picture tells
    these from groups, which have gaps between them. A no means that the clusters are parts of
    one crowd, as far as this measure sees.

    Parameters
    ----------
    silhouette : float
        Of the clusters found.
    controls : array of shape (n_controls,)
        From ``control_silhouettes``, for the same data and number of clusters.

    Returns
    -------
    bool
        Whether the silhouette is more than ``CLEAR_MARGIN`` above the best control.

    Examples
    --------
    >>> is_clear(0.61, [0.48, 0.52, 0.50])
    True
    """
    return bool(silhouette > np.max(controls) + CLEAR_MARGIN)


@dataclass(frozen=True)
class KChoice:
    """What ``choose_k`` chose: ``n_clusters``, the ``runner_up`` (or None), and the ``reasons``."""

    n_clusters: int
    runner_up: int | None
    reasons: tuple[str, ...]


def choose_k(evidence, *, min_share=0.02, min_stability=STABLE):
    """
    Choose K from its evidence by a rule that can be read aloud.

    Leave out a K whose smallest cluster holds less than ``min_share`` of the rows, or whose least
    stable cluster is below ``min_stability``. Of the rest take the best silhouette; values
    within one standard error of the best are a tie, which the smallest K wins. The conditions are
    asked in this order; one that no K still left meets is skipped, and the reasons say so.

    Parameters
    ----------
    evidence : DataFrame
        From ``sweep_k``.
    min_share : float, default=0.02
        A group below one in fifty is an outlier's company rather than a segment.
    min_stability : float, default=0.75
        Hennig's threshold of a stable cluster.

    Returns
    -------
    KChoice
    """
    candidates = evidence
    reasons = []
    conditions = {
        "smallest_share": (min_share, f"have a cluster with less than {min_share:.0%} of the rows"),
        "stability": (min_stability, f"have a cluster with a stability below {min_stability:.2f}"),
    }
    for column, (least, fault) in conditions.items():
        kept = candidates[candidates[column] >= least]
        dropped = candidates.index.difference(kept.index)
        if kept.empty:
            reasons.append(f"All of K = {listed(candidates.index)} {fault}; none is better.")
        else:
            candidates = kept
            if len(dropped):
                verb = fault if len(dropped) > 1 else fault.replace("have", "has", 1)
                reasons.append(f"K = {listed(dropped)} {verb} and cannot be chosen.")

    ranked = candidates.sort_values("silhouette", ascending=False, kind="stable")
    best = ranked.iloc[0]
    tied = ranked.index[ranked["silhouette"] >= best["silhouette"] - best["silhouette_se"]]
    chosen = int(tied.min())
    reasons.append(
        f"K = {ranked.index[0]} has the highest silhouette of "
        f"{'those left' if len(candidates) < len(evidence) else 'all'}: "
        f"{best['silhouette']:.3f}, standard error {best['silhouette_se']:.3f}."
    )
    if len(tied) > 1:
        reasons.append(
            f"K = {listed(sorted(tied))} are within one standard error of it; "
            f"the smallest wins, because fewer clusters are easier to use."
        )
    others = ranked.index.drop(chosen)
    runner_up = int(others[0]) if len(others) else None
    return KChoice(chosen, runner_up, tuple(reasons))
