"""Choosing K: the evidence for each number of clusters, and a rule that gives its reasons."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_samples
from sklearn.utils import check_array, check_random_state
from threadpoolctl import threadpool_limits

from helpers.stability import STABLE, bootstrap_stability, no_structure_control
from helpers.weighted import binned_rows, distinct_rows

# Above this many distinct rows, restarts run on the occupied cells of a grid.
MANY_ROWS = 5_000

# How far above the best control a silhouette has to be for clusters to be called clear. Data of
# seven kinds without groups stayed below 0.03 from 200 customers on; the course's fixture, whose
# groups are real, reaches 0.15.
CLEAR_MARGIN = 0.05


def fit_kmeans(X, n_clusters, *, n_init=20, random_state=None):
    """
    k-means with many restarts at the cost of few.

    The restarts run on distinct rows with their counts, or, where there are more than 5,000 of
    them, on the occupied cells of a grid; the best start is then refined on all rows.

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
    rows, counts, _ = distinct_rows(X)
    if len(rows) > MANY_ROWS:
        rows, counts, _ = binned_rows(X)
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
        At least two clusters.
    sample_size : int, default=2_000
        Rows on which the silhouette is computed, drawn from every cluster in proportion: the
        full one takes quadratic time. At 2,000 its standard error is about 0.005.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    dict
        "silhouette" (Rousseeuw 1987; -1 to 1, more is better) and its standard error
        "silhouette_se", "davies_bouldin" (1979; less is better), "calinski_harabasz" (more is
        better), "smallest_share" (of the rows, in the smallest cluster).
    """
    X = check_array(X, dtype=np.float64)
    _, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    silhouette, error = _sampled_silhouette(X, codes, sizes, sample_size, random_state)
    return {
        "silhouette": silhouette,
        "silhouette_se": error,
        "davies_bouldin": davies_bouldin_score(X, codes),
        "calinski_harabasz": calinski_harabasz_score(X, codes),
        "smallest_share": sizes.min() / len(X),
    }


def _sampled_silhouette(X, codes, sizes, sample_size, random_state):
    """Mean silhouette over a sample stratified by cluster, and its standard error."""
    rng = check_random_state(random_state)
    share = min(1.0, sample_size / len(X))
    # At least 30 of a cluster (or all it has), or its own distances would be mostly chance.
    wanted = np.minimum(sizes, np.maximum(np.ceil(sizes * share), 30)).astype(int)
    order = rng.permutation(len(X))
    by_cluster = order[np.argsort(codes[order], kind="stable")]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    sample = np.sort(
        np.concatenate([by_cluster[s : s + n] for s, n in zip(starts, wanted, strict=True)])
    )
    widths = pd.Series(silhouette_samples(X[sample], codes[sample])).groupby(codes[sample])
    weights = sizes / len(X)
    variances = widths.var().fillna(0).to_numpy() / wanted
    return float(weights @ widths.mean().to_numpy()), float(np.sqrt(weights**2 @ variances))


def sweep_k(X, k_range=range(2, 11), *, sample_size=2_000, n_boot=20, random_state=None):
    """
    k-means evidence for each number of clusters.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        Scaled: distances should mean something.
    k_range : iterable of int, default=range(2, 11)
        Numbers of clusters to try. Those above the number of distinct rows less one are left out.
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
    possible = [k for k in k_range if 2 <= k < n_distinct]
    if not possible:
        raise ValueError(
            f"No number of clusters in {list(k_range)} can be tried: n_samples={len(X)} rows hold "
            f"{n_distinct} different ones, and K must be from 2 to one less."
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
        One silhouette each. Clusters are called clear where their own silhouette is more than
        ``CLEAR_MARGIN`` above the highest of these.
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
    within one standard error of the best are a tie, which the smallest K wins. A condition that no
    K meets is dropped, and the reasons say so.

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
            reasons.append(f"All of K = {_listed(candidates.index)} {fault}; none is better.")
        else:
            candidates = kept
            if len(dropped):
                verb = fault if len(dropped) > 1 else fault.replace("have", "has", 1)
                reasons.append(f"K = {_listed(dropped)} {verb} and cannot be chosen.")

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
            f"K = {_listed(sorted(tied))} are within one standard error of it; "
            f"the smallest wins, because fewer clusters are easier to use."
        )
    others = ranked.index.drop(chosen)
    runner_up = int(others[0]) if len(others) else None
    return KChoice(chosen, runner_up, tuple(reasons))


def _listed(numbers):
    """Write "2, 3 and 5"."""
    *firsts, last = [str(number) for number in numbers]
    return f"{', '.join(firsts)} and {last}" if firsts else last
