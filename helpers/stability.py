"""Stability: whether clusters come back when the data are drawn again, and by chance alone."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.base import clone
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import contingency_matrix
from sklearn.utils import check_array, check_random_state
from threadpoolctl import threadpool_limits

from helpers.weighted import distinct_rows

# Hennig's reading of the mean Jaccard similarity of a cluster (see bootstrap_stability).
TRUSTED, STABLE, HIGHLY_STABLE = 0.60, 0.75, 0.85

MAX_DRAWS = 1_000  # of a bootstrap sample, until it holds enough different rows
MAX_CORRECTIONS = 10  # of the correlations of a control, until its ranks have those of the data


def bootstrap_stability(estimator, X, n_boot=100, *, labels=None, random_state=None):
    """
    Mean Jaccard similarity of each cluster with its best match in bootstrap samples.

    The rows are drawn with replacement, the distinct rows drawn are clustered again, and each
    original cluster is compared, on those rows, with the most similar new cluster [1]_.
    Below .6 a cluster should not be trusted, from .75 on it is stable, from .85 on highly so.
    Stable is not real: one elongated cloud cut in two comes back every time. Compare with
    ``no_structure_control``. Noise, the rows labelled -1, is no cluster: it is neither judged nor
    matched, but a row that joins it or leaves it costs its cluster similarity.

    Parameters
    ----------
    estimator : clusterer
        With ``fit_predict``; it is cloned, so it needs no fit and keeps its state.
    X : array of shape (n_samples, n_features)
    n_boot : int, default=100
        Bootstrap samples. The mean of 100 has a standard error of about a tenth of the spread
        between samples.
    labels : array of shape (n_samples,), optional
        The clustering to judge, so that the result can carry its names; by default that of the
        estimator on ``X``.
    random_state : int, RandomState instance or None, default=None
        Draws the samples and, where the estimator or a step of it takes one, seeds each fit.

    Returns
    -------
    Series of shape (n_clusters,)
        Mean similarity, 0 to 1, indexed by the label of the cluster.

    Raises
    ------
    ValueError
        If samples of the rows cannot hold the clusters, or all rows are noise.

    References
    ----------
    .. [1] C. Hennig (2007). Cluster-wise assessment of cluster stability. Computational
       Statistics & Data Analysis 52(1), 258-271.
    """
    X = check_array(X)
    rng = check_random_state(random_state)
    # Many small fits: threads would cost more than they save.
    with threadpool_limits(1):
        if labels is None:
            labels = _seeded(estimator, rng).fit_predict(X)
        return _mean_jaccard(estimator, X, n_boot, labels, rng)


def _mean_jaccard(estimator, X, n_boot, labels, rng):
    """Mean over bootstrap samples of each cluster's similarity with its best match."""
    clusters, codes = np.unique(labels, return_inverse=True)
    is_cluster = ~is_noise(clusters)
    if not is_cluster.any():
        raise ValueError(
            f"All {len(X):,} rows are noise (label -1), so there is no cluster to judge. Let the "
            "estimator find larger or looser clusters."
        )

    distinct = distinct_rows(X)[2]
    similarity = np.zeros(len(clusters))
    drawn_in = np.zeros(len(clusters))
    for _ in range(n_boot):
        drawn = _draw(distinct, is_cluster.sum(), rng)
        again = _seeded(estimator, rng).fit_predict(X[drawn])
        present = np.unique(codes[drawn])
        overlap = contingency_matrix(codes[drawn], again)
        union = overlap.sum(axis=1, keepdims=True) + overlap.sum(axis=0) - overlap
        found = ~is_noise(np.unique(again))
        similarity[present] += (overlap / union)[:, found].max(axis=1, initial=0)
        drawn_in[present] += 1
    # A tiny cluster may miss a sample altogether; it is judged by the samples it is in.
    mean = np.divide(similarity, drawn_in, out=np.zeros_like(similarity), where=drawn_in > 0)
    stability = pd.Series(mean, index=pd.Index(clusters, name="cluster"), name="stability")
    return stability[is_cluster]


def is_noise(clusters):
    """Whether each of these labels is that of noise, -1, as scikit-learn has it."""
    return np.array([cluster == -1 for cluster in clusters], dtype=bool)


def _draw(distinct, n_clusters, rng):
    """Return the rows of a bootstrap sample, each once, with enough different ones to cluster."""
    for _ in range(MAX_DRAWS):
        drawn = np.unique(rng.randint(len(distinct), size=len(distinct)))
        # The clusters of a large sample are never more than its rows; counting would cost time.
        if len(drawn) > 100 * n_clusters or len(np.unique(distinct[drawn])) >= n_clusters:
            return drawn
    raise ValueError(
        f"Samples of n_samples={len(distinct)} rows hardly ever hold {n_clusters} different ones. "
        "Ask for fewer clusters."
    )


def _seeded(estimator, rng):
    """Return an unfitted copy with seeds of its own, wherever it or a step of it takes one."""
    copy = clone(estimator)
    places = [name for name in copy.get_params() if name.split("__")[-1] == "random_state"]
    return copy.set_params(**{name: rng.randint(2**31 - 1) for name in sorted(places)})


def fit_agreement(estimator, X, *, share=1.0, n_fits=20, random_state=None):
    """
    How far fits of the same clustering agree with each other, as adjusted Rand indices.

    Each fit is compared with the next one, and the last with the first. The index [1]_ is 1 if two
    fits put the same rows together, whatever they call the clusters, and 0 on average if they have
    no more in common than chance. With all rows, the fits differ by their seeds alone: what is
    lacking to 1 is the luck of the start. With a share of them, each fit sees rows of its own, and
    two are compared on the rows that both saw [2]_: luck of the start and of the rows.

    Parameters
    ----------
    estimator : clusterer
        With ``fit_predict``; it is cloned, so it needs no fit and keeps its state.
    X : array of shape (n_samples, n_features)
    share : float, default=1.0
        Share of the rows that each fit sees, drawn without replacement; above one half, so that
        any two fits have rows in common.
    n_fits : int, default=20
        At least 3, or the pairs would not differ.
    random_state : int, RandomState instance or None, default=None
        Draws the rows and, where the estimator or a step of it takes one, seeds each fit.

    Returns
    -------
    array of shape (n_fits,)
        Noise, the rows labelled -1, counts as a cluster of its own.

    Raises
    ------
    ValueError
        If there are fewer than three fits, or if ``share`` is above 1, or so small that two fits
        might not have two rows in common.

    References
    ----------
    .. [1] L. Hubert and P. Arabie (1985). Comparing partitions. Journal of Classification 2,
       193-218.
    .. [2] A. Ben-Hur, A. Elisseeff and I. Guyon (2002). A stability based method for discovering
       structure in clustered data. Pacific Symposium on Biocomputing 7, 6-17. They take other
       indices.

    Examples
    --------
    >>> from sklearn.cluster import KMeans
    >>> X = [[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]]
    >>> fit_agreement(KMeans(2), X, n_fits=3, random_state=0).tolist()
    [1.0, 1.0, 1.0]
    """
    X = check_array(X)
    if n_fits < 3:
        raise ValueError(f"n_fits is {n_fits}. Use at least 3, so that there are different pairs.")
    n_drawn = round(share * len(X))
    # Two samples have at least so many rows in common as they have together beyond all.
    if share > 1 or 2 * n_drawn - len(X) < 2:
        raise ValueError(
            f"share is {share}. Use at most 1, and more than one half, so that any two fits of "
            f"n_samples={len(X):,} rows have two rows in common."
        )
    rng = check_random_state(random_state)
    fits = []
    # Many small fits: threads would cost more than they save.
    with threadpool_limits(1):
        for _ in range(n_fits):
            # In order: with all rows, nothing but the seed may differ.
            drawn = np.sort(rng.permutation(len(X))[:n_drawn])
            labels = _seeded(estimator, rng).fit_predict(X[drawn])
            fits.append(pd.Series(labels, index=drawn))
    return np.array([_agreement(*pair) for pair in zip(fits, fits[1:] + fits[:1], strict=True)])


def _agreement(one, other):
    """Adjusted Rand index of two fits on the rows that both saw."""
    both = pd.concat([one, other], axis=1, join="inner")
    return adjusted_rand_score(both[0], both[1])


def no_structure_control(X, *, random_state=None):
    """
    Data like ``X`` in every feature and every pairwise rank correlation, but without groups.

    A normal cloud with the rank correlations of ``X`` is drawn, and each of its columns is
    replaced by the values of ``X`` in the same order (a Gaussian copula). What clustering finds
    here, it finds without any groups being there: the level that a result has to beat. Groups
    that show in the histogram of a single feature are in the control too, so it asks for more
    than that: values that belong together. Whatever ties features together besides their rank
    correlation is lost along with the groups: a curve, or a spread that grows with another
    feature. So a single cloud of such a shape beats its control as well.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    array of shape (n_samples, n_features)
        Each column holds exactly the values of the same column of ``X``, in another order.
    """
    X = check_array(X)
    rng = check_random_state(random_state)
    columns = np.sort(X, axis=0)
    normal = rng.standard_normal(X.shape)
    target = _rank_correlation(X)
    latent = target.copy()
    # Ties weaken correlations on the way from the cloud to the control, so they are made up for.
    for _ in range(MAX_CORRECTIONS):
        values, vectors = np.linalg.eigh(latent)
        cloud = normal @ (vectors * np.sqrt(np.clip(values, 0, None))).T
        order = cloud.argsort(axis=0).argsort(axis=0)
        control = np.take_along_axis(columns, order, axis=0)
        lacking = target - _rank_correlation(control)
        if np.abs(lacking).max() < 0.005:
            break
        latent = np.clip(latent + lacking, -1, 1)
    return control


def _rank_correlation(X):
    """Spearman correlations of the columns; a constant column has none."""
    ranks = rankdata(X, axis=0)
    ranks = ranks - ranks.mean(axis=0)
    scale = np.sqrt((ranks**2).sum(axis=0))
    scale[scale == 0] = 1
    correlation = (ranks / scale).T @ (ranks / scale)
    np.fill_diagonal(correlation, 1)
    return correlation
