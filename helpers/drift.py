"""Drift: whether a model that was fitted on yesterday's rows still fits those of today."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.spatial import KDTree
from scipy.stats import betabinom, chi2
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.exceptions import NotFittedError
from sklearn.metrics.cluster import contingency_matrix
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from helpers import figures
from helpers.text import InputError, listed, nearest

# A drift of this size is worth acting on: the customary "moderate change" of the population
# stability index, here as a size above what chance adds, and never as a test.
MATERIAL_PSI = 0.10
# The radius of a cluster holds this share of its reference rows, so 1 % of them are outside it;
# five times as many are worth acting on.
RADIUS_QUANTILE = 0.99
MATERIAL_OUTSIDE = 0.05
# The clusters have moved if a refit puts at least this share of the rows elsewhere.
MATERIAL_MOVED = 0.10

# Rows a bin should have in the smaller table, or the threshold of the index is too low.
ROWS_PER_BIN = 20
# A table of fewer rows says nothing that could be told from chance.
MIN_ROWS = 20
# Rows that a refit is tried on: enough to place centres, and quick.
REFIT_ROWS = 2_000
# Of the squared distances, the share that may come from centres beside the means of their rows, as
# k-means leaves them when it stops early. Rows that were not in the fit cause more, unless they
# are so many that it makes no difference.
NOT_THE_MEANS = 1e-3
N_REFITS = 30  # pairs of them, to know how much a refit moves by chance

OUTSIDE = "outside"
DECISIONS = ("keep", "watch", "refit")


def quantile_edges(reference, bins=10, *, least=1):
    """
    Inner edges of bins that hold equal shares of the reference, as far as ties allow.

    Parameters
    ----------
    reference : array of shape (n_reference,)
    bins : int, default=10
    least : int, default=1
        Neighbouring bins are joined until each holds as many rows of the reference.

    Returns
    -------
    array of shape (n_bins - 1,)
        Ascending. A value on an edge belongs to the bin below it.

    Examples
    --------
    >>> quantile_edges([1, 1, 1, 2, 3, 4], bins=3).tolist()
    [1.0, 2.0]
    """
    reference = np.asarray(reference, dtype=float)
    shares = np.arange(1, bins) / bins
    edges = np.unique(np.quantile(reference, shares, method="inverted_cdf"))
    return _join_small(reference, edges, least)


def _join_small(values, edges, least):
    """Leave out edges so that each bin holds at least so many of the values."""
    below = _counts(values, edges).cumsum()
    kept, used = [], 0
    for edge, count in zip(edges, below[:-1], strict=True):
        if count - used >= least and below[-1] - count >= least:
            kept.append(edge)
            used = count
    return np.array(kept)


def _counts(values, edges):
    """Rows in each bin."""
    return np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)


def psi(reference, current, bins=10):
    """
    Population stability index: how far two samples of one feature are apart.

    The sum over bins of (q - p) ln(q / p), where p and q are the shares of the two samples. It is
    0 for equal shares. Without any drift its mean is about (bins - 1) (1/n + 1/m), so compare it
    with ``psi_threshold`` and never with a fixed number. Each bin gets half a row on top, so that
    an empty one has a logarithm.

    Parameters
    ----------
    reference : array of shape (n_reference,)
    current : array of shape (n_current,)
    bins : int or array, default=10
        Number of quantile bins of the reference (fewer where values tie), or their inner edges.

    Returns
    -------
    float

    References
    ----------
    B. Yurdakul and J. Naranjo (2020). Statistical properties of the population stability index.
    Journal of Risk Model Validation 14(4).

    Examples
    --------
    >>> psi([1, 2, 3, 4], [4, 3, 2, 1], bins=2)
    0.0
    """
    edges = quantile_edges(reference, bins) if np.ndim(bins) == 0 else np.asarray(bins)
    samples = (np.asarray(sample, dtype=float) for sample in (reference, current))
    return _index(*(_counts(sample, edges) for sample in samples))


def _index(reference, current):
    """Population stability index of two samples, by their rows in each bin."""
    p, q = reference + 0.5, current + 0.5
    p, q = p / p.sum(), q / q.sum()
    return float(np.sum((q - p) * np.log(q / p)))


def psi_threshold(n_reference, n_current, bins, alpha=0.05):
    """
    Index that two samples of one population exceed with probability ``alpha``.

    Parameters
    ----------
    n_reference, n_current : int
        Rows of the two samples.
    bins : int
        Bins in use.
    alpha : float, default=0.05
        Rate of false alarms.

    Returns
    -------
    float
        (1/n + 1/m) times a quantile of the chi-squared distribution with bins - 1 degrees of
        freedom (Yurdakul and Naranjo 2020, see ``psi``). 0 for a single bin, which cannot differ.

    Examples
    --------
    >>> round(psi_threshold(200, 200, 10), 3), round(psi_threshold(20_000, 20_000, 10), 5)
    (0.169, 0.00169)
    """
    if bins < 2:
        return 0.0
    return float((1 / n_reference + 1 / n_current) * chi2.isf(alpha, bins - 1))


def moved_share(old, new):
    """
    Share of the rows that change their cluster, once the clusters are matched by overlap.

    Numbers of clusters mean nothing, so old and new ones are matched one to one such that as many
    rows as possible stay (the assignment problem, solved by the Hungarian method).

    Parameters
    ----------
    old, new : array of shape (n_samples,)
        Labels of the same rows.

    Returns
    -------
    float

    Examples
    --------
    >>> moved_share([0, 0, 1, 1], ["b", "b", "a", "a"]), moved_share([0, 0, 1, 1], [0, 1, 1, 1])
    (0.0, 0.25)
    """
    overlap = contingency_matrix(old, new)
    matched, matches = linear_sum_assignment(overlap, maximize=True)
    stay = overlap[matched, matches].sum()
    return float(1 - stay / len(old))


def cluster_transitions(old, new, *, survives=0.5, part=0.25):
    """
    What became of each cluster, in the words of MONIC.

    An old cluster *survived* if a new one holds at least half of its rows, and it *merged* if that
    new one holds half of another old one, too. It *split* if no new one holds half of it, but
    those with at least a quarter do together. Otherwise it *vanished*. A new cluster that none of
    this led to has *emerged*.

    Parameters
    ----------
    old : array of shape (n_samples,)
        Old cluster of each row; ``OUTSIDE`` for rows that belonged to none.
    new : array of shape (n_samples,)
        New cluster of the same rows.
    survives, part : float
        The half and the quarter of the rule, which the paper leaves open.

    Returns
    -------
    DataFrame, one row an old cluster and then one each emerged cluster
        "old" (or "none"), "fate", "new" (names, or "none"), "overlap" (share of the old cluster's
        rows in these; of an emerged one, share of its rows that were outside).

    References
    ----------
    M. Spiliopoulou, I. Ntoutsi, Y. Theodoridis and R. Schult (2006). MONIC: modeling and
    monitoring cluster transitions. KDD '06, 706-711.

    Examples
    --------
    >>> cluster_transitions(["a", "a", "b", "b", "b"], [0, 0, 1, 2, 3])
      old      fate         new  overlap
    0   a  survived           0      1.0
    1   b     split  1, 2 and 3      1.0
    """
    table = pd.crosstab(pd.Series(np.asarray(old)), pd.Series(np.asarray(new)))
    outside = table.loc[OUTSIDE] if OUTSIDE in table.index else 0 * table.sum()
    totals = table.sum()
    shares = table.drop(index=OUTSIDE, errors="ignore")
    shares = shares.div(shares.sum(axis=1), axis=0)
    heirs = {name: row.idxmax() for name, row in shares.iterrows() if row.max() >= survives}
    rows = []
    for name, row in shares.iterrows():
        parts = row[row >= part].sort_values(ascending=False, kind="stable")
        if name in heirs:
            fate = "survived" if list(heirs.values()).count(heirs[name]) == 1 else "merged"
            rows.append((name, fate, [heirs[name]], row.max()))
        elif len(parts) > 1 and parts.sum() >= survives:
            rows.append((name, "split", list(parts.index), parts.sum()))
        else:
            rows.append((name, "vanished", [], 0.0))
    known = {cluster for _, _, clusters, _ in rows for cluster in clusters}
    rows += [
        ("none", "emerged", [name], outside[name] / totals[name])
        for name in table.columns
        if name not in known
    ]
    fates = pd.DataFrame(rows, columns=["old", "fate", "new", "overlap"])
    return fates.assign(new=fates["new"].map(listed))


@dataclass(frozen=True)
class DriftReport:
    """
    What a check found, and what to do about it.

    Attributes
    ----------
    decision : str
        "keep", "watch" or "refit".
    reasons : list of str
        Sentences; the first one gives the decision.
    rule : str
        How the decision follows from the evidence, with its rate of false alarms.
    evidence : DataFrame
        One row a test. "measure" ("PSI" or "share"); "value"; "by chance", which the value exceeds
        only seldom without drift; "size" (of a PSI, what is left above its mean without drift);
        "material from"; "detectable", "material", "counts" (both).
    features : DataFrame
        Indexed by feature: its quartiles and median in the reference and now, in its own units.
    shares : DataFrame
        Indexed by cluster: "reference", "current".
    transitions : DataFrame or None
        Rows known in both tables: cluster in the reference (rows) and now (columns), in numbers,
        with those who have gone, and who are new. None if rows have no names.
    clusters : DataFrame or None
        ``cluster_transitions`` between the frozen model and a refit, on current rows. None for
        models without centres.
    moved : float or None
        Share of current rows that the refit puts elsewhere.
    moved_by_chance : float or None
        The share that refits of the reference stay below 19 times in 20; None where it was not
        needed.
    outside : bool array of shape (n_current,)
        Which current rows lie outside the radius of their cluster.
    n_reference, n_current : int
    false_alarms : float
        Of all series of checks without drift, at most this share meets evidence that counts.
    """

    decision: str
    reasons: list[str]
    rule: str
    evidence: pd.DataFrame
    features: pd.DataFrame
    shares: pd.DataFrame
    transitions: pd.DataFrame | None
    clusters: pd.DataFrame | None
    moved: float | None
    moved_by_chance: float | None
    n_reference: int
    n_current: int
    false_alarms: float
    outside: np.ndarray = field(repr=False)
    distributions: dict = field(repr=False)

    def plot_evidence(self):
        """Draw each test's value against what it takes to count; return the figure."""
        return figures.plot_evidence(strength(self.evidence))

    def plot_shares(self):
        """Draw the shares of the clusters, then and now; return the figure."""
        return figures.plot_shares(self.shares, "share of the rows")

    def plot_features(self):
        """Draw the share of each bin of each feature, then and now; return the figure."""
        return figures.plot_bins(self.distributions)

    def to_dict(self):
        """
        The whole report in plain values, ready for ``helpers.export.write_json``.

        Returns
        -------
        dict
        """

        def records(table):
            return None if table is None else table.reset_index().to_dict("records")

        plain = {
            name: getattr(self, name)
            for name in ("decision", "reasons", "rule", "n_reference", "n_current")
        }
        plain |= {name: getattr(self, name) for name in ("moved", "moved_by_chance")}
        tables = ("evidence", "features", "shares", "transitions", "clusters")
        return {
            **plain,
            "false_alarms": self.false_alarms,
            **{name: records(getattr(self, name)) for name in tables},
        }


def strength(evidence):
    """
    Value of each test as a multiple of what it takes to count.

    Parameters
    ----------
    evidence : DataFrame
        Of a ``DriftReport``.

    Returns
    -------
    Series, indexed as the evidence
        Above 1, the evidence counts.
    """
    # A size is the value less a constant, so the value at which it becomes material is known.
    material = evidence["value"] - evidence["size"] + evidence["material from"]
    return (evidence["value"] / np.maximum(material, evidence["by chance"])).rename("strength")


class DriftMonitor:
    """
    Compares tables that come in with the one that a model was fitted on, and says what to do.

    The model is frozen: nothing of it is learned again. Each check looks at every feature, at the
    shares of the clusters, at the distances to them, and at the share of the rows outside their
    radius. Evidence counts if it is both *detectable*, that is beyond what chance does, and
    *material*, that is large enough to matter. Models with centres are refitted on the side, to
    see whether the clusters are still where they were.

    Parameters
    ----------
    model : estimator
        Fitted, with ``predict``: a ``CustomerSegmenter``, k-means, a Pipeline ending in one of
        them, or one ending in a ``DensityDetector``.
    reference : DataFrame of shape (n_reference, n_features)
        The table the model was fitted on, or one like it. An index with a name, such as that of
        ``rfm_table``, says who is who, and makes transitions possible.
    n_periods : int, default=12
        Checks for which the rate of false alarms holds together: a year of months.
    alpha : float, default=0.05
        Rate of false alarms: the share of series of ``n_periods`` checks without any drift in which
        evidence counts even once is at most this. It is divided by the number of tests and
        periods (Bonferroni), which needs no assumption on how they hang together.
    bins : int, default=10
        Of the population stability index; fewer for small tables, so that a bin has about 20 rows.
    random_state : int, default=42
        Draws the rows of refits.

    Raises
    ------
    InputError
        If a column of the model is missing, a value is no finite number, there are fewer than 20
        rows, or a row's name stands twice.
    TypeError
        If the model is not fitted or has no ``predict``.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame(rng.normal(size=(400, 2)), columns=["x", "y"])
    >>> monitor = DriftMonitor(KMeans(3, n_init=3, random_state=0).fit(table), table)
    >>> again = pd.DataFrame(rng.normal(size=(300, 2)), columns=["x", "y"])
    >>> monitor.check(again).decision, monitor.check(again + 2).decision
    ('keep', 'refit')
    """

    def __init__(self, model, reference, *, n_periods=12, alpha=0.05, bins=10, random_state=42):
        try:
            check_is_fitted(model)
        except (NotFittedError, TypeError):
            raise TypeError(f"{type(model).__name__} is no fitted model.") from None
        if not hasattr(model, "predict"):
            raise TypeError(f"{type(model).__name__} has no predict, so it cannot place new rows.")
        if n_periods < 1 or not 0 < alpha < 1 or bins < 2:
            raise ValueError(
                f"n_periods={n_periods}, alpha={alpha}, bins={bins}: use at least one period, an "
                "alpha between 0 and 1, and two bins or more."
            )
        self.model, self.n_periods, self.alpha = model, n_periods, alpha
        self.bins, self.random_state = bins, random_state
        steps = getattr(model, "pipeline_", model)
        is_pipeline = isinstance(steps, Pipeline)
        self._prepare = steps[:-1] if is_pipeline and len(steps) > 1 else None
        self._last = steps[-1] if is_pipeline else steps
        self.columns = list(getattr(model, "feature_names_in_", reference.columns))
        self.reference = self._checked(reference, "The reference")

        X = self._prepared(self.reference)
        if hasattr(self._last, "normal_rows_"):
            self._alone = self._rows_alone(X)
        elif not self.has_centers:
            raise TypeError(
                f"{type(self._last).__name__} has neither centres nor normal rows to measure from."
            )
        self._distances = self._left_out(X) if self.has_centers else self._distance(X)
        self.names = self._names()
        self._codes = self._coded(self.reference, self._distances)
        self._radius = self._radii()
        self._spread = self._distances / self._radius[self._codes]

    @property
    def has_centers(self):
        """Whether the model's clusters are the neighbourhoods of centres."""
        return hasattr(self._last, "cluster_centers_")

    @property
    def n_tests(self):
        """Tests in one check: each feature, shares, distances, rows outside."""
        return len(self.columns) + 3

    @property
    def alpha_each(self):
        """Rate of false alarms of one test in one period."""
        return self.alpha / (self.n_tests * self.n_periods)

    @property
    def rule(self):
        """How decisions follow from evidence, in words."""
        moved = (
            f", or a refit puts at least {MATERIAL_MOVED:.0%} of the rows elsewhere, and more than "
            "refits of the reference do"
            if self.has_centers
            else ""
        )
        return (
            "Evidence counts if it is detectable (beyond what chance does) and material (a PSI "
            f"more than {MATERIAL_PSI} above what chance adds, or more than "
            f"{MATERIAL_OUTSIDE:.0%} of the rows outside the reference radius). Keep: nothing "
            "counts. Watch: something counts, but the clusters still fit. Refit: something "
            f"counts, and the rows outside do{moved}. Chance makes evidence count in about "
            f"{100 * self.alpha:.3g}% or less of series of {self.n_periods} checks of independent "
            f"rows without drift: each of the {self.n_tests} tests has a rate of "
            f"{self.alpha_each:.2g}."
        )

    def check(self, current):
        """
        Compare a table with the reference.

        Parameters
        ----------
        current : DataFrame of shape (n_current, n_features)
            With the model's columns, in any order; others are ignored.

        Returns
        -------
        DriftReport

        Raises
        ------
        InputError
            As for the reference.
        """
        current = self._checked(current, "The current table")
        distances = self._distance(self._prepared(current))
        codes = self._coded(current, distances)
        spread = distances / self._radius[codes]

        tests, distributions = {}, {}
        for name in self.columns:
            pair = self.reference[name].to_numpy(), current[name].to_numpy()
            edges = self._edges(*pair)
            counts = [_counts(values, edges) for values in pair]
            tests[name] = self._psi_test(*counts)
            distributions[name] = _binned(*pair, edges, *counts)
        between = np.arange(len(self.names) - 1)
        between = _join_small(self._codes, between, self._least(len(current)))
        tests["cluster shares"] = self._psi_test(
            *(_counts(each, between) for each in (self._codes, codes))
        )
        edges = self._edges(self._spread, spread)
        tests["distance to the clusters"] = self._psi_test(
            *(_counts(each, edges) for each in (self._spread, spread))
        )
        tests["rows outside the radius"] = self._outside_test(spread)
        evidence = pd.DataFrame.from_dict(tests, orient="index").rename_axis("test")
        evidence["detectable"] = evidence["value"] > evidence["by chance"]
        evidence["material"] = evidence["size"] > evidence["material from"]
        evidence["counts"] = evidence["detectable"] & evidence["material"]

        moved, by_chance, clusters = None, None, None
        if self.has_centers:
            moved, clusters = self._refit_beside(current, codes, spread)
            if evidence["counts"].any():
                by_chance = self._moved_by_chance(min(len(current), REFIT_ROWS))
        decision = _decide(evidence, moved, by_chance)
        features = _quartiles(self.reference, current)
        return DriftReport(
            decision=decision,
            reasons=_reasons(decision, evidence, features, moved, by_chance),
            rule=self.rule,
            evidence=evidence,
            features=features,
            shares=self._shares(codes),
            transitions=self._transitions(current.index, codes),
            clusters=clusters,
            moved=moved,
            moved_by_chance=by_chance,
            n_reference=len(self.reference),
            n_current=len(current),
            false_alarms=self.alpha,
            outside=spread > 1,
            distributions=distributions,
        )

    def _checked(self, table, what):
        """Return the model's columns of a table, in its order, or refuse it."""
        missing = [name for name in self.columns if name not in table.columns]
        if missing:
            hints = ", ".join(f"{name!r}{nearest(name, table.columns)}" for name in missing)
            raise InputError(
                f"{what} lacks {hints}, which the model was fitted on. It has "
                f"{listed(map(repr, table.columns))}."
            )
        table = table[self.columns]
        if len(table) < MIN_ROWS:
            raise InputError(
                f"{what} has {len(table):,} {'row' if len(table) == 1 else 'rows'}; fewer than "
                f"{MIN_ROWS} say nothing that could be told from chance. Use a longer period."
            )
        for name, values in table.items():
            if not pd.api.types.is_numeric_dtype(values):
                raise InputError(f"{what}: column {name!r} holds {values.dtype}, and no numbers.")
            bad = ~np.isfinite(values.to_numpy(dtype=float))
            if bad.any():
                raise InputError(
                    f"{what}: {bad.sum():,} values of column {name!r} are missing or infinite, the "
                    f"first in row {table.index[bad][0]!r}. Mend them or leave those rows out."
                )
        if table.index.name is not None and table.index.has_duplicates:
            twice = table.index[table.index.duplicated()][0]
            raise InputError(f"{what}: {table.index.name} {twice!r} stands twice.")
        return table

    def _prepared(self, table):
        """Return rows in the scale in which the model measures distances."""
        first = self._last if self._prepare is None else self._prepare
        # Steps that were fitted without names warn about a frame, and the others about an array.
        X = table if hasattr(first, "feature_names_in_") else table.to_numpy(dtype=float)
        with np.errstate(invalid="ignore", divide="ignore"):
            X = X if self._prepare is None else self._prepare.transform(X)
        X = np.asarray(X, dtype=float)
        bad = ~np.isfinite(X).all(axis=1)
        if bad.any():
            raise InputError(
                f"The model cannot scale the values of {bad.sum():,} rows, the first of them "
                f"{table.index[bad][0]!r}. Mend them or leave those rows out."
            )
        return X

    def _distance(self, X):
        """Return the distance of each row to the nearest cluster."""
        if self.has_centers:
            return KDTree(self._last.cluster_centers_).query(X)[0]
        tree = KDTree(self._last.normal_rows_)
        distances, nearest = tree.query(X, workers=-1)
        # In the table of the fit a row is its own nearest neighbour; a new row is not.
        itself = (distances == 0) & self._alone[nearest]
        distances[itself] = tree.query(X[itself], [2], workers=-1)[0].ravel()
        return distances

    def _rows_alone(self, X):
        """Whether each normal row of a detector is one row of the reference and has no twin."""
        n_normal = len(self._last.normal_rows_)
        is_large = np.isin(self._last.labels_, self._last.large_clusters_)
        normal = self._last.core_sample_mask_ & is_large
        if len(normal) == len(X):
            distances, nearest = KDTree(self._last.normal_rows_).query(X, workers=-1)
            if not distances[normal].any():
                return np.bincount(nearest[distances == 0], minlength=n_normal) == 1
        return np.zeros(n_normal, dtype=bool)  # the reference is not the table of the fit

    def _left_out(self, X):
        """
        Return the distance of each row to the nearest centre that would be there without it.

        A row pulls its centre towards itself. The mean of the other rows of its cluster is farther
        from it by n / (n - 1), and one that is a cluster alone has only the next centre left.
        """
        centers = self._last.cluster_centers_
        (distances, others), (nearest, _) = (found.T for found in KDTree(centers).query(X, [1, 2]))
        n = np.bincount(nearest, minlength=len(centers))
        sums = [np.bincount(nearest, column, minlength=len(centers)) for column in X.T]
        off = (np.column_stack(sums) - n[:, None] * centers) ** 2 / np.maximum(n, 1)[:, None]
        if off.sum() > NOT_THE_MEANS * np.sum(distances**2):
            return distances  # the centres are not those of these rows
        farther = distances * (n / np.maximum(n - 1, 1))[nearest]
        farther[n[nearest] == 1] = np.inf
        return np.minimum(farther, others)

    def _coded(self, table, distances):
        """Return the place in ``names`` of each row's cluster; numbers, for names take memory."""
        if not self.has_centers:
            return (distances > -self._last.offset_).astype(int)
        named = hasattr(self.model, "feature_names_in_")
        labels = self.model.predict(table if named else table.to_numpy(dtype=float))
        order = np.argsort(self.names)
        return order[np.searchsorted(self.names, labels, sorter=order)]

    def _names(self):
        """Return the names of all clusters, also of those without a row here, the best first."""
        if not self.has_centers:
            return ["ordinary", "anomalous"]
        return np.asarray(getattr(self.model, "names_", range(self._n_clusters))).tolist()

    @property
    def _n_clusters(self):
        return len(self._last.cluster_centers_)

    def _radii(self):
        """Return the radius of each cluster: the distance that 1 % of its reference rows exceed."""
        # Distances of rows, and nothing between them, for the sake of an exact test.
        overall = np.quantile(self._distances, RADIUS_QUANTILE, method="higher")
        radii = np.full(len(self.names), overall)
        if self.has_centers:
            for code in range(len(self.names)):
                own = self._distances[self._codes == code]
                if len(own) >= MIN_ROWS:
                    radii[code] = np.quantile(own, RADIUS_QUANTILE, method="higher")
        return np.where(radii > 0, radii, overall or 1.0)

    def _least(self, n_current):
        """Rows of the reference that a bin has to hold, so that both tables fill it."""
        return int(np.ceil(ROWS_PER_BIN / 4 * max(1, len(self.reference) / n_current)))

    def _edges(self, reference, current):
        """Return edges of bins for tables of these sizes."""
        smaller = min(len(reference), len(current))
        bins = int(np.clip(smaller // ROWS_PER_BIN, 2, self.bins))
        edges = quantile_edges(reference, bins, least=self._least(len(current)))
        if len(edges):
            return edges
        # Where nearly all values are one, the news are those below and above all of them.
        return np.array([np.nextafter(reference.min(), -np.inf), reference.max()])

    def _psi_test(self, reference, current):
        """Compare the rows in each bin with those of the reference."""
        n, m, bins = reference.sum(), current.sum(), len(reference)
        value = _index(reference, current)
        return {
            "measure": "PSI",
            "value": value,
            "by chance": psi_threshold(n, m, bins, self.alpha_each),
            "size": value - (bins - 1) * (1 / n + 1 / m),
            "material from": MATERIAL_PSI,
        }

    def _outside_test(self, spread):
        """
        Compare the rows beyond the radius with those of the reference.

        The share of new rows beyond the k-th largest distance of n reference rows has a beta
        distribution, whatever the distances are, so their number is beta-binomial: exact for one
        radius. With a radius for each cluster, k counts the rows beyond any and the one on each,
        and n grows by one a radius: the mean of the clusters' shares taken together, and a spread
        that is somewhat too wide, on the safe side.
        """
        n, m = len(self._spread), len(spread)
        beyond = int((self._spread > 1).sum())
        most = betabinom.isf(self.alpha_each, m, beyond + len(set(self._radius)), n - beyond)
        share = float(np.mean(spread > 1))
        return {
            "measure": "share",
            "value": share,
            "by chance": float(most / m),
            "size": share,
            "material from": MATERIAL_OUTSIDE,
        }

    def _refit_beside(self, current, codes, spread):
        """Return the share of rows that a refit puts elsewhere, and what became of clusters."""
        rng = check_random_state(self.random_state)
        # By their values, for the order in which rows come is no news.
        in_order = np.lexsort(current.to_numpy(dtype=float).T)
        drawn = in_order[rng.permutation(len(current))[:REFIT_ROWS]]
        rows = current.iloc[drawn]
        new = self._refitted(rows, rng).predict(rows.to_numpy(dtype=float))
        order = np.argsort(-np.bincount(new), kind="stable")
        new = np.array([f"new {place + 1}" for place in np.argsort(order)])[new]
        old = np.array(self.names, dtype=object)[codes[drawn]]
        fates = cluster_transitions(np.where(spread[drawn] > 1, OUTSIDE, old), new)
        return moved_share(old, new), fates

    def _refitted(self, rows, rng):
        """Return the same steps, fitted anew on these rows."""
        k_means = KMeans(
            min(self._n_clusters, len(rows.drop_duplicates())),
            n_init=10,
            tol=0,
            random_state=rng.randint(2**31 - 1),
        )
        steps = [] if self._prepare is None else [clone(step) for _, step in self._prepare.steps]
        with threadpool_limits(1):
            return make_pipeline(*steps, k_means).fit(rows.to_numpy(dtype=float))

    def _moved_by_chance(self, n_rows):
        """
        Return the share that a refit moves by chance, 19 times in 20 less.

        The model is one draw of its population and the new table another, so both are drawn again.
        """
        rng = check_random_state(self.random_state)
        moved = []
        for _ in range(N_REFITS):
            before, after = (
                self.reference.iloc[rng.randint(len(self.reference), size=size)]
                for size in (min(len(self.reference), REFIT_ROWS), n_rows)
            )
            old, new = self._refitted(before, rng), self._refitted(after, rng)
            X = after.to_numpy(dtype=float)
            moved.append(moved_share(old.predict(X), new.predict(X)))
        return float(np.quantile(moved, 0.95))

    def _shares(self, codes):
        """Return the shares of the clusters then and now."""
        n = len(self.names)
        counts = {
            "reference": np.bincount(self._codes, minlength=n),
            "current": np.bincount(codes, minlength=n),
        }
        table = pd.DataFrame(counts, index=pd.Index(self.names, name="cluster"))
        return table / table.sum()

    def _transitions(self, index, codes):
        """Return a table of clusters then and now, of the rows that both tables name."""
        if index.name is None or index.name != self.reference.index.name:
            return None
        n = len(self.names)
        place = self.reference.index.get_indexer(index)
        was = np.where(place < 0, n, self._codes[place])
        stays = np.zeros(len(self.reference), dtype=bool)
        stays[place[place >= 0]] = True
        counts = np.zeros((n + 1, n + 1), dtype=int)
        np.add.at(counts, (was, codes), 1)
        counts[:n, n] = np.bincount(self._codes[~stays], minlength=n)
        return pd.DataFrame(
            counts,
            index=pd.Index([*self.names, "new"], name="was"),
            columns=pd.Index([*self.names, "gone"], name="is now"),
        )


def _binned(reference, current, edges, n_reference, n_current):
    """Return the share of each bin in both tables, with the limits of the bins."""
    return pd.DataFrame(
        {
            "from": [min(reference.min(), current.min()), *edges],
            "to": [*edges, max(reference.max(), current.max())],
            "reference": n_reference / len(reference),
            "current": n_current / len(current),
        }
    )


def _quartiles(reference, current):
    """Return quartiles and median of each feature, then and now."""
    parts = {
        "reference": reference.quantile([0.25, 0.5, 0.75]).T,
        "current": current.quantile([0.25, 0.5, 0.75]).T,
    }
    table = pd.concat(
        {
            when: part.set_axis(["lower quartile", "median", "upper quartile"], axis=1)
            for when, part in parts.items()
        },
        axis=1,
    )
    table.columns = [f"{what}, {when}" for when, what in table.columns]
    return table.rename_axis("feature")


def _decide(evidence, moved, by_chance):
    """Apply the rule."""
    if not evidence["counts"].any():
        return "keep"
    left = evidence.loc["rows outside the radius", "counts"]
    return "refit" if left or _has_moved(moved, by_chance) else "watch"


def _has_moved(moved, by_chance):
    """Whether a refit moves rows materially, and more than chance does."""
    return moved is not None and moved >= MATERIAL_MOVED and moved > by_chance


def _reasons(decision, evidence, features, moved, by_chance):
    """Return sentences that give the decision and what it rests on."""
    heads = {
        "keep": "Keep the model: nothing has changed that is both detectable and material.",
        "watch": "Watch: the rows have changed, but the clusters still fit them.",
        "refit": "Refit: the clusters no longer fit the rows.",
    }
    reasons = [heads[decision]]
    for name, row in evidence[evidence["counts"]].iterrows():
        if row["measure"] == "share":
            reasons.append(
                f"{row['value']:.1%} of the rows lie outside the reference radius; chance seldom "
                f"exceeds {row['by chance']:.1%}."
            )
        else:
            then, now = (
                f"{features.loc[name, f'median, {when}']:,.4g}" if name in features.index else ""
                for when in ("reference", "current")
            )
            medians = f" Its median went from {then} to {now}." if then != now else ""
            reasons.append(
                f"{name}: PSI {row['value']:.3f}, which chance seldom brings above "
                f"{row['by chance']:.3f}.{medians}"
            )
    if by_chance is not None:
        reasons.append(
            f"A refit puts {moved:.1%} of the rows into another cluster; refits of the reference "
            f"do so with up to {by_chance:.1%}."
        )
    quiet = evidence[evidence["detectable"] & ~evidence["material"]].index
    if len(quiet):
        reasons.append(f"Detectable, but smaller than what is material: {listed(quiet)}.")
    return reasons
