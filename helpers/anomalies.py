"""Network anomalies: features of flows, density, scores with a meaning, alerts that explain."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import KDTree
from scipy.stats import norm
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from helpers.density import NOISE, DensityGraph
from helpers.playbook import Play
from helpers.weighted import distinct_rows

# Added before a logarithm is taken: below one byte, one packet, one millisecond nothing differs.
OFFSETS = {
    "total_bytes": 1.0,
    "send_receive_ratio": 0.0,
    "duration": 0.001,
    "total_packets": 1.0,
    "bytes_per_packet": 1.0,
}
# Added to both sides of the ratio: replies that differ by less than a packet's header hardly do.
RATIO_BYTES = 40.0

# Share of the k-distances below eps where the knee of their curve cannot be trusted.
FALLBACK_QUANTILE = 0.95
# A cluster smaller than this may be small; the boundary is drawn where sizes fall by this factor.
_LARGEST_SMALL = 0.05
_WIDEST_STEP = 3.0
_USUAL_SMALL = 0.01

# Of the score distribution of normal traffic, these quantiles fix the curve that is carried on
# beyond it: half of the flows, and nearly all.
_TAIL_QUANTILES = (0.5, 0.98)

# An alert is this severe if fewer normal flows than this would be expected so far out.
SEVERITIES = {"HIGH": 0.01, "MEDIUM": 0.05, "LOW": np.inf}


class Triage(Play):
    """What a playbook says about a pattern of alerts, such as "duration higher"."""

    reading: str
    first_check: str
    action: str


def flow_measures(flows):
    """
    What a flow moved and how, in its own units.

    Parameters
    ----------
    flows : DataFrame of shape (n_flows, ...)
        From ``read_flows``: "bytes_sent", "bytes_received", "duration" (seconds), and, if it has
        them, "packets_sent" and "packets_received".

    Returns
    -------
    DataFrame of shape (n_flows, 3 or 5)
        "total_bytes"; "send_receive_ratio", that is (sent + 40) / (received + 40), so that an
        empty reply is neither infinite nor one byte; "duration"; and with packets also
        "total_packets" and "bytes_per_packet" (0 where there is no packet).

    Examples
    --------
    >>> flows = pd.DataFrame({"bytes_sent": [60], "bytes_received": [0], "duration": [0.5]})
    >>> flow_measures(flows).round(2).to_dict("list")
    {'total_bytes': [60], 'send_receive_ratio': [2.5], 'duration': [0.5]}
    """
    sent, received = flows["bytes_sent"], flows["bytes_received"]
    measures = pd.DataFrame(
        {
            "total_bytes": sent + received,
            "send_receive_ratio": (sent + RATIO_BYTES) / (received + RATIO_BYTES),
            "duration": flows["duration"],
        }
    )
    if "packets_sent" in flows:
        packets = flows["packets_sent"] + flows["packets_received"]
        measures["total_packets"] = packets
        measures["bytes_per_packet"] = measures["total_bytes"] / packets.where(packets != 0, 1)
    return measures


def flow_features(flows):
    """
    Logarithms of ``flow_measures``: what the detector compares, once they are scaled.

    Parameters
    ----------
    flows : DataFrame
        As for ``flow_measures``.

    Returns
    -------
    DataFrame of shape (n_flows, 3 or 5)
        Natural logarithms, after adding one byte, one packet or one millisecond.
    """
    measures = flow_measures(flows)
    return np.log(measures + pd.Series(OFFSETS)[measures.columns])


@dataclass(frozen=True)
class EpsChoice:
    """
    A value for ``eps``, and what speaks for and against it.

    Attributes
    ----------
    eps : float
    min_samples : int
    curve : array of shape (n_samples,)
        The k-distances, ascending.
    quantile : float
        Share of the rows that are core at this ``eps``.
    method : str
        "knee" or "quantile".
    reasons, red_flags : list of str
        Sentences.
    """

    eps: float
    min_samples: int
    curve: np.ndarray
    quantile: float
    method: str
    reasons: list[str]
    red_flags: list[str]


def choose_eps(X, min_samples):
    """
    Choose DBSCAN's ``eps`` from the curve of k-distances, and say how far to trust it.

    The knee of the curve is used unless the clusters that it leads to wave a red flag (Schubert
    et al. 2017): hardly any row is core, nearly every row is, or all clusters are one. Then it is
    the distance within which 95 % of the rows have their ``min_samples`` neighbours.

    Parameters
    ----------
    X : float array of shape (n_samples, n_features)
        Scaled features.
    min_samples : int
        From 1 to n_samples; twice the number of features is usual.

    Returns
    -------
    EpsChoice

    References
    ----------
    Schubert, Sander, Ester, Kriegel and Xu (2017), "DBSCAN Revisited, Revisited", ACM TODS 42(3).

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(500, 2)) + np.repeat([[0], [9]], 250, axis=0)
    >>> choice = choose_eps(X, min_samples=4)
    >>> choice.method, choice.red_flags, bool(0.8 < choice.quantile < 0.99)
    ('knee', [], True)
    """
    X = np.asarray(X, dtype=float)
    _check_min_samples(min_samples, len(X))
    return _choose_eps(DensityGraph(X, min_samples), min_samples)


def _check_min_samples(min_samples, n_samples):
    """Refuse numbers with which no row can be core, with the remedy."""
    if min_samples < 1:
        raise ValueError(f"min_samples is {min_samples}. Use 1 or more.")
    if n_samples < min_samples:
        raise ValueError(
            f"n_samples={n_samples} is less than min_samples={min_samples}, so no row can be "
            "core. Give more rows, or a smaller min_samples."
        )


def _choose_eps(graph, min_samples):
    """Choose eps for a graph that is already there."""
    curve = np.sort(graph.k_distances)
    shares = np.linspace(0, 1, len(curve))
    heights = (curve - curve[0]) / (np.ptp(curve) or 1.0)
    knee = _between(curve, curve[np.argmax(shares - heights)])
    flags = red_flags(graph.core(knee), graph.clusters(knee))
    described = f"has {min_samples} rows, itself included, within {{:.3g}}"
    if not flags:
        method, eps = "knee", knee
        reasons = ["The curve of the k-distances turns upwards most sharply there."]
    else:
        method, eps = "quantile", _between(curve, np.quantile(curve, FALLBACK_QUANTILE))
        reasons = [
            f"The knee of the curve, {knee:.3g}, is not used: {flags[0]}",
            f"Instead it is the distance of {FALLBACK_QUANTILE:.0%} of the rows.",
        ]
        flags = red_flags(graph.core(eps), graph.clusters(eps))
    quantile = float(np.mean(curve <= eps))
    reasons.append(f"So {quantile:.1%} of the rows are core: each " + described.format(eps) + ".")
    return EpsChoice(eps, min_samples, curve, quantile, method, reasons, flags)


def choose_small_cluster(labels):
    """
    Choose the share of the rows below which a cluster is small, and say why.

    Ordinary traffic and attacks of one kind differ most in how much there is of them. So the
    boundary is put in the widest step of the sizes below 5 %, if one is at least threefold.

    Parameters
    ----------
    labels : int array of shape (n_samples,)
        Clusters; -1 for noise.

    Returns
    -------
    share : float
        0.01 if the sizes show no such step.
    reason : str
        One sentence.

    Examples
    --------
    >>> choose_small_cluster(np.repeat([0, 1, 2, 3], [600, 360, 30, 10]))
    (0.104, 'The sizes step from 36.0% down to 3.0%.')
    """
    shares = np.sort(np.bincount(labels[labels != NOISE]))[::-1] / len(labels)
    above, below = shares[:-1], shares[1:]
    steps = np.where(below < _LARGEST_SMALL, above / np.maximum(below, 1e-300), 0)
    if not steps.any() or steps.max() < _WIDEST_STEP:
        return _USUAL_SMALL, "The sizes of the clusters show no clear step."
    widest = int(steps.argmax())
    share = round(float(np.sqrt(above[widest] * below[widest])), 3)
    return share, f"The sizes step from {above[widest]:.1%} down to {below[widest]:.1%}."


def _between(curve, distance):
    """Return a positive distance that is no row's own: half way to the next larger one."""
    curve = curve[curve >= distance]
    # Distances that differ in their last digits only are equal but for rounding.
    steps = np.flatnonzero(curve[1:] > curve[:-1] * (1 + 1e-6))
    if len(steps):
        return float(curve[steps[0]] + curve[steps[0] + 1]) / 2
    return float(curve[-1]) * 1.001 or 1.0


def red_flags(core, labels):
    """
    What makes a clustering by density doubtful.

    Parameters
    ----------
    core : bool array of shape (n_samples,)
    labels : int array of shape (n_samples,)
        Clusters; -1 for noise.

    Returns
    -------
    list of str
        Sentences; empty if nothing does.

    Examples
    --------
    >>> red_flags(np.array([True, False, False]), np.array([0, -1, -1]))[0]
    'Only 33.3% of the rows are core, so nearly everything is noise.'
    """
    share = np.mean(core)
    checks = {
        f"Only {share:.1%} of the rows are core, so nearly everything is noise.": share < 0.5,
        f"{share:.2%} of the rows are core, so hardly anything is noise.": share > 0.999,
        "All rows that are not noise form one cluster.": np.max(labels) == 0,
    }
    return [flag for flag, raised in checks.items() if raised]


class DensityDetector(OutlierMixin, BaseEstimator):
    """
    Anomalies by density: what is far from every large cluster of DBSCAN.

    A row is anomalous if no core row of a large cluster lies within ``eps``: if it is noise, or
    if it belongs to a cluster too small to be ordinary traffic, for attacks often come in dense
    heaps of their own. Its score is the distance to the nearest core row of a large cluster.

    Parameters
    ----------
    eps : float, optional
        Radius of a neighbourhood, in the scale of ``X``. By default chosen by ``choose_eps``.
    min_samples : int, optional
        Rows within ``eps``, itself included, that make a row core. By default twice the number
        of features, as Sander et al. (1998) advise.
    small_cluster : float, default=0.01
        A cluster with less than this share of the rows is small. The largest never is.

    Attributes
    ----------
    labels_ : int array of shape (n_samples,)
        Cluster of each row, 0 being the largest, or -1 for noise. Core rows, their partition and
        noise are those of ``sklearn.cluster.DBSCAN``, if no two rows are exactly ``eps`` apart.
    core_sample_mask_ : bool array of shape (n_samples,)
    eps_ : float
        The radius in use.
    large_clusters_ : int array
        Labels of the large clusters.
    normal_rows_ : float array of shape (n_normal, n_features)
        Core rows of the large clusters, each once: what rows are compared with.
    offset_ : float
        Minus ``eps``: a row with a lower score is anomalous.
    normal_labels_ : int array of shape (n_normal,)
        The cluster of each of them.
    n_ordinary_ : int
        Rows outside the small clusters that lie apart from every other normal row.
    log_distance_ : tuple of two floats
        Mean and standard deviation of the logarithm of their distance to the nearest *other*
        normal row, from its median and its 98 % quantile.

    References
    ----------
    Ester, Kriegel, Sander and Xu (1996), KDD-96; the ranking follows the idea of He, Xu and Deng
    (2003), "Discovering cluster-based local outliers", Pattern Recognition Letters 24.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> detector = DensityDetector().fit(X)
    >>> detector.predict([[0.0, 0.0], [9.0, 9.0]]).tolist()
    [1, -1]
    """

    def __init__(self, eps=None, min_samples=None, small_cluster=0.01):
        self.eps = eps
        self.min_samples = min_samples
        self.small_cluster = small_cluster

    def fit(self, X, y=None):
        """
        Learn the large clusters.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
            Scaled features, finite.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of range, if there are fewer rows than ``min_samples``, or if
            ``eps`` is so small that no row is core.
        """
        X = validate_data(self, X, dtype=float, ensure_min_samples=2)
        min_samples = 2 * X.shape[1] if self.min_samples is None else self.min_samples
        self._check_parameters(X, min_samples)
        graph = DensityGraph(X, min_samples)
        chosen = self.eps is None
        self._learn(X, graph, _choose_eps(graph, min_samples).eps if chosen else float(self.eps))
        return self

    def _check_parameters(self, X, min_samples):
        """Refuse what cannot be clustered, with the remedy."""
        if self.eps is not None and not 0 < self.eps < np.inf:
            raise ValueError(f"eps is {self.eps}. Use a number above 0, or None to choose it.")
        if not 0 <= self.small_cluster < 1:
            raise ValueError(f"small_cluster is {self.small_cluster}. Use a share: 0 to below 1.")
        _check_min_samples(min_samples, len(X))

    def _learn(self, X, graph, eps):
        """Set the learned attributes."""
        self.eps_ = eps
        labels, core = graph.clusters(eps), graph.core(eps)
        if not core.any():
            raise ValueError(
                f"No row is core at eps={eps:.3g}: the densest has its neighbours within "
                f"{graph.k_distances.min():.3g}. Use a larger eps or a smaller min_samples."
            )
        large = np.bincount(labels[labels != NOISE]) >= self.small_cluster * len(X)
        large[0] = True
        self.large_clusters_ = np.flatnonzero(large)
        normal = core & np.isin(labels, self.large_clusters_)
        self.normal_rows_, counts, inverse = distinct_rows(X[normal])
        self.normal_labels_ = np.empty(len(counts), dtype=int)
        self.normal_labels_[inverse] = labels[normal]
        self.core_sample_mask_ = core
        self.offset_ = -eps

        distances, nearest = self._nearest_normal(X)
        between = ~core & (distances <= eps)  # perhaps near a small cluster too: it is ordinary
        labels[between] = self.normal_labels_[nearest[between]]
        self.labels_ = labels

        others, _ = KDTree(self.normal_rows_).query(self.normal_rows_[counts == 1], [2], workers=-1)
        apart = np.concatenate([others.ravel(), distances[between | (labels == NOISE)]])
        apart = np.log(apart[(apart > 0) & np.isfinite(apart)])
        self.n_ordinary_ = len(apart)
        self.log_distance_ = _log_distance(apart, eps)

    def _nearest_normal(self, X):
        """Return distance and position of the normal row nearest to each row."""
        return KDTree(self.normal_rows_).query(X, workers=-1)

    def _checked(self, X):
        """Return new rows as an array of the right width."""
        check_is_fitted(self)
        return validate_data(self, X, dtype=float, reset=False)

    def score_samples(self, X):
        """
        Minus the distance to the nearest core row of a large cluster: low is anomalous.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)

        Returns
        -------
        float array of shape (n_samples,)
        """
        return -self._nearest_normal(self._checked(X))[0]

    def decision_function(self, X):
        """
        Score less the threshold: anomalous below 0.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)

        Returns
        -------
        float array of shape (n_samples,)
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """
        Whether each row is ordinary (1) or anomalous (-1).

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
            Rows of the table that was fitted, or new ones.

        Returns
        -------
        int array of shape (n_samples,)
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def nearest_normal(self, X):
        """
        Normal row most like each row.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)

        Returns
        -------
        float array of shape (n_samples, n_features)
            The squared differences from ``X`` add up to the squared score, so each feature's
            share in them is its share in the anomaly.
        """
        return self.normal_rows_[self._nearest_normal(self._checked(X))[1]]

    def expected_normal(self, X):
        """
        How many ordinary rows would be expected as far out as each row, or farther.

        The distances between ordinary rows are taken to be lognormal, and that curve is carried on
        beyond the data: good for orders of magnitude, not for decimals.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)

        Returns
        -------
        float array of shape (n_samples,)
            In a table as long as the one that was fitted.
        """
        return self._expected(-self.score_samples(X))

    def _expected(self, distances):
        """Return how many ordinary rows would be expected at these distances or beyond."""
        mean, deviation = self.log_distance_
        with np.errstate(divide="ignore"):
            position = (np.log(distances) - mean) / deviation
        return self.n_ordinary_ * norm.sf(position)


def sweep_eps(X, radii, min_samples, *, small_cluster=None):
    """
    What a ``DensityDetector`` would find at several values of ``eps``.

    The neighbours are looked up once for all of them.

    Parameters
    ----------
    X : float array of shape (n_samples, n_features)
        Scaled features, finite.
    radii : iterable of float
        Values of ``eps``. Those at which no row is core are left out.
    min_samples : int
    small_cluster : float, optional
        As for ``DensityDetector``. None or 0 lets ``choose_small_cluster`` choose at each radius.

    Yields
    ------
    DensityDetector
        Fitted.

    Examples
    --------
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> [int(np.sum(one.labels_ == -1)) for one in sweep_eps(X, [0.001, 0.5, 5.0], 4)]
    [15, 0]
    """
    X = np.asarray(X, dtype=float)
    graph = DensityGraph(X, min_samples)
    for eps in radii:
        if not graph.core(eps).any():
            continue
        detector = DensityDetector(eps, min_samples, small_cluster or _USUAL_SMALL)
        detector.n_features_in_ = X.shape[1]
        if not small_cluster:
            # The chapter's own order: first the clusters, then what their sizes say.
            detector._learn(X, graph, eps)
            detector.set_params(small_cluster=choose_small_cluster(detector.labels_)[0])
        detector._learn(X, graph, eps)
        yield detector


def _log_distance(logarithms, eps):
    """Return mean and standard deviation of logarithms, from quantiles that few outliers move."""
    if len(logarithms) == 0 or np.ptp(logarithms) == 0:
        return float(np.log(eps)), 1.0  # every row repeats: nothing is known but the radius
    low, high = np.quantile(logarithms, _TAIL_QUANTILES)
    spread = norm.ppf(_TAIL_QUANTILES[1]) - norm.ppf(_TAIL_QUANTILES[0])
    return float(low), float(high - low) / spread or 1.0


def alerts(flows, detector):
    """
    Anomalous flows, most severe first, with what drove each of them.

    Parameters
    ----------
    flows : DataFrame of shape (n_flows, ...)
        Complete flows, from ``read_flows``.
    detector : Pipeline
        A scaler and a ``DensityDetector``, fitted on ``flow_features`` of these or other flows.

    Returns
    -------
    DataFrame of shape (n_alerts, ...)
        The columns of ``flows``, with its index, and those of ``flow_measures``; "score", the
        distance from normal traffic; "expected", the number of ordinary flows to be expected so
        far out; "severity" (HIGH, MEDIUM, LOW); and, for the two features that contribute
        most, "driver" and "second_driver", such as "duration higher", with "driver_value",
        "driver_normal" (the same measure of the most similar normal flow) and "driver_share" of
        the squared distance.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from helpers.fixtures import network_traffic
    >>> flows = network_traffic(1000).dropna()
    >>> detector = make_pipeline(StandardScaler(), DensityDetector()).fit(flow_features(flows))
    >>> list(alerts(flows, detector)["severity"].unique())[0]
    'HIGH'
    """
    features = flow_features(flows)
    X = detector[:-1].transform(features)
    density = detector[-1]
    anomalous = density.predict(X) == -1
    flows, features, X = flows[anomalous], features[anomalous], np.asarray(X)[anomalous]

    normal = density.nearest_normal(X) if len(X) else X
    contributions = (X - normal) ** 2
    shares = contributions / np.maximum(contributions.sum(axis=1, keepdims=True), 1e-300)
    measures = flow_measures(flows)
    offsets = pd.Series(OFFSETS)[features.columns].to_numpy()
    usual = np.exp(detector[:-1].inverse_transform(normal)) - offsets if len(X) else normal
    table = flows.assign(**{name: measures[name] for name in measures if name not in flows})
    table["score"] = np.sqrt(contributions.sum(axis=1))
    table["expected"] = density._expected(table["score"].to_numpy())
    table["severity"] = severity(table["expected"])

    order = np.argsort(-shares, axis=1, kind="stable")
    first, rows = order[:, 0], np.arange(len(X))
    direction = np.where(normal < X, "higher", "lower")
    names = np.array(features.columns)
    for column, place in (("driver", 0), ("second_driver", 1)):
        chosen = order[:, place]
        words = zip(names[chosen], direction[rows, chosen], strict=True)
        table[column] = pd.array([f"{name} {way}" for name, way in words], dtype="str")
    table["driver_value"] = measures.to_numpy()[rows, first]
    table["driver_normal"] = np.maximum(usual[rows, first], 0)
    table["driver_share"] = shares[rows, first]
    return table.sort_values("score", ascending=False, kind="stable")


def severity(expected):
    """
    Severity of alerts from the number of ordinary flows expected so far out.

    Parameters
    ----------
    expected : array of shape (n_alerts,)

    Returns
    -------
    Categorical
        "HIGH" below 0.01, "MEDIUM" below 0.05, else "LOW".
    """
    bounds = [-np.inf, *SEVERITIES.values()]
    return pd.cut(expected, bounds, labels=list(SEVERITIES), right=False)
