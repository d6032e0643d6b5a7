"""Customer segments from orders: RFM, clustering, names from profiles, and what to do with them."""

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pydantic
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from helpers.playbook import Play, plays_for, read_plays
from helpers.selection import choose_k, fit_kmeans, sweep_k
from helpers.text import InputError

RFM = ["recency", "frequency", "monetary"]

# Where a segment of that name stands in the customer base, from 0 (worst) to 1 (best) in each
# feature: best in recency is the latest order. The names are the usual ones of RFM marketing.
PROTOTYPES = pd.DataFrame(
    {
        "Champions": (0.90, 0.95, 0.95),
        "Loyal Customers": (0.70, 0.80, 0.75),
        "Potential Loyalists": (0.75, 0.60, 0.50),
        "Big Spenders": (0.55, 0.50, 0.90),
        "New Customers": (0.85, 0.25, 0.25),
        "Promising": (0.65, 0.30, 0.50),
        "Need Attention": (0.40, 0.55, 0.55),
        "About to Sleep": (0.45, 0.30, 0.25),
        "At Risk": (0.25, 0.75, 0.70),
        "Cannot Lose Them": (0.15, 0.90, 0.95),
        "Hibernating": (0.25, 0.35, 0.45),
        "Lost Customers": (0.15, 0.25, 0.20),
    },
    index=RFM,
).T.rename_axis("segment")

_NEGATIVE = (
    "Negative values in data passed to CustomerSegmenter: recency, frequency and monetary are 0 "
    "or more. Leave returns out, as rfm_table does."
)


def line_report(orders, duplicated):
    """
    How many lines count as sales, what the others are, and the revenue that each kind carries.

    Parameters
    ----------
    orders : DataFrame
        From ``read_orders``.
    duplicated : bool Series of shape (n_lines,)
        Which lines of the file are exact copies of an earlier one. They are counted in their own
        kind as well: a file cannot tell a line sent twice from two of the same article.

    Returns
    -------
    DataFrame indexed by kind of line
        "lines", "share" (of all lines), "revenue". The first four kinds add up to the file.
    """
    kind = np.select(
        [orders["customer_id"].isna(), orders["revenue"] < 0, orders["revenue"] == 0],
        ["without a customer", "return or cancellation", "free of charge"],
        default="sale",
    )
    kinds = ["sale", "return or cancellation", "free of charge", "without a customer"]
    table = orders.groupby(kind)["revenue"].agg(["size", "sum"]).reindex(kinds, fill_value=0)
    copies = orders["revenue"][(kind == "sale") & duplicated.to_numpy()]
    table.loc["of the sales: exact copy of an earlier line"] = [len(copies), copies.sum()]
    table.insert(1, "share", table["size"] / len(orders))
    return (
        table.astype({"size": int})
        .rename(columns={"size": "lines", "sum": "revenue"})
        .rename_axis("kind of line")
    )


def rfm_table(orders, snapshot=None):
    """
    Recency, frequency and monetary value of each customer.

    Lines without a customer and lines whose revenue is not above 0 (returns, cancellations, free
    articles) are not sales and do not count.

    Parameters
    ----------
    orders : DataFrame
        One row an order line: "customer_id", "order_id", "order_date", "revenue".
    snapshot : str (YYYY-MM-DD), Timestamp or None, default=None
        Day that recency counts back from. None is the day after the last order, so that a
        customer of that day has a recency of 1. Set it to compare extracts of different days.

    Returns
    -------
    DataFrame of shape (n_customers, 3)
        "recency" (whole days since the last order), "frequency" (distinct orders), "monetary"
        (sum of revenue, in the currency of the file), indexed and sorted by customer_id.

    Raises
    ------
    InputError
        If no line is a sale, if an order is later than ``snapshot``, or if ``snapshot`` is no
        day or lies in the future.

    Examples
    --------
    >>> orders = pd.DataFrame({
    ...     "customer_id": ["ana", "ana", "ben"],
    ...     "order_id": ["1", "1", "2"],
    ...     "order_date": pd.to_datetime(["2024-01-04", "2024-01-04", "2024-01-09"]),
    ...     "revenue": [5.0, 7.0, 3.0],
    ... })
    >>> rfm_table(orders, snapshot="2024-01-10")
                 recency  frequency  monetary
    customer_id
    ana                6          1      12.0
    ben                1          1       3.0
    """
    sales = orders[(orders["revenue"] > 0) & orders["customer_id"].notna()]
    if sales.empty:
        raise InputError(
            f"None of the {len(orders):,} order lines is a sale: each lacks a customer or has "
            "revenue of 0 or less. Check which column holds the revenue, and its sign."
        )
    snapshot = _snapshot_day(orders["order_date"].max(), snapshot)

    # On integer codes, because the tables of real shops have millions of lines.
    customer, customers = pd.factorize(sales["customer_id"], sort=True)
    order, distinct_orders = pd.factorize(sales["order_id"])
    # Sorting beats hashing, and so np.unique, by a factor of twenty here.
    pairs = np.sort(customer.astype(np.int64) * len(distinct_orders) + order)
    pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])]
    days = sales["order_date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    last_day = np.full(len(customers), np.iinfo(np.int64).min)
    np.maximum.at(last_day, customer, days)
    return pd.DataFrame(
        {
            "recency": snapshot.to_numpy().astype("datetime64[D]").astype(np.int64) - last_day,
            "frequency": np.bincount(pairs // len(distinct_orders)),
            "monetary": np.bincount(customer, weights=sales["revenue"]),
        },
        # Categories of ids become plain ids: one row each needs no second table.
        index=pd.Index(customers.tolist(), name="customer_id"),
    )


def rfm_window(orders, last_day, days):
    """
    Recency, frequency and monetary value from the orders of so many days.

    Orders and money only grow with time, so tables made at different times can be compared only if
    they look back equally far.

    Parameters
    ----------
    orders : DataFrame
        As for ``rfm_table``.
    last_day : Timestamp or str (YYYY-MM-DD)
        The last day that counts. Recency counts back from the day after it.
    days : int
        Number of days, 1 or more.

    Returns
    -------
    DataFrame of shape (n_customers, 3)
        As from ``rfm_table``, of the customers who bought in these days.

    Raises
    ------
    InputError
        If these days are no whole period of the orders: if they begin before the first order or
        end after the last, or if none of their lines is a sale.
    """
    last_day = pd.Timestamp(last_day).normalize()
    end = last_day + pd.Timedelta(days=1)
    start = end - pd.Timedelta(days=days)
    first, last = (day.normalize() for day in orders["order_date"].agg(["min", "max"]))
    if start < first or end > last + pd.Timedelta(days=1):
        raise InputError(
            f"{days:,} days up to {last_day:%Y-%m-%d} begin on {start:%Y-%m-%d}. The orders are of "
            f"{first:%Y-%m-%d} to {last:%Y-%m-%d}, so a part would be missing. Give a "
            "longer extract, which covers all of these days, or another last day."
        )
    within = orders["order_date"].between(start, end, inclusive="left")
    if not within.any():
        raise InputError(
            f"There is no order line from {start:%Y-%m-%d} to {last_day:%Y-%m-%d}, so this period "
            "is empty. Check the dates of the file."
        )
    return rfm_table(orders[within], snapshot=end)


def _snapshot_day(last_order, snapshot):
    """Day that recency counts back from, as a Timestamp at midnight."""
    last_day = last_order.normalize()
    if snapshot is None:
        return last_day + pd.Timedelta(days=1)
    try:
        if isinstance(snapshot, str):
            snapshot = datetime.date.fromisoformat(snapshot)
        if not isinstance(snapshot, datetime.date | np.datetime64) or pd.isna(snapshot):
            raise ValueError(snapshot)
        day = pd.Timestamp(snapshot).normalize()
        if day.tz is not None:
            raise ValueError(snapshot)
    except ValueError:
        raise InputError(
            f"snapshot {snapshot!r} is not a day. Write it as YYYY-MM-DD, e.g. "
            f"{last_day + pd.Timedelta(days=1):%Y-%m-%d}."
        ) from None
    if day < last_day:
        raise InputError(
            f"snapshot {day:%Y-%m-%d} is before the last order, of {last_day:%Y-%m-%d}. Use that "
            "day or a later one, or leave out the orders after it from the file."
        )
    if day > pd.Timestamp.now().normalize() + pd.Timedelta(days=1):
        raise InputError(
            f"snapshot {day:%Y-%m-%d} lies in the future. The last order is of "
            f"{last_day:%Y-%m-%d}; use the day the file was extracted."
        )
    return day


class CustomerSegmenter(BaseEstimator):
    """
    Segments of customers, with names that come from what the customers do.

    Each feature is taken as log(1 + x), because money and orders have heavy tails, and scaled to
    unit variance; k-means finds the clusters. A cluster is named by its profile, the mean
    position of its customers in the whole base: every profile is matched with one of
    ``PROTOTYPES``, no name twice, at the smallest sum of squared distances. Numbers of clusters
    carry no meaning and are never used for names.

    Parameters
    ----------
    n_segments : int or None, default=None
        None lets the evidence choose from 2 to 10 (``choose_k``).
    random_state : int, RandomState instance or None, default=42
        Starts of k-means and samples of the evidence.

    Attributes
    ----------
    n_segments_ : int
    names_ : array of shape (n_segments,)
        Name of each cluster, best profile first; numbers where the columns are not RFM, or the
        segments more than the prototypes.
    labels_ : int array of shape (n_customers,)
        Cluster of each customer: 0 is the best profile.
    sizes_ : int array of shape (n_segments,)
        Customers in each cluster.
    pipeline_ : Pipeline
        Fitted: log, scaling, k-means. Its ``predict`` gives the cluster.
    positions_ : array of shape (n_segments, n_features)
        Profiles: 0 is the worst end of the customer base, 1 the best.
    profiles_, centers_, k_evidence_ : DataFrame
        See the properties of these names.

    Notes
    -----
    Names need to know which column is which. A frame may have recency, frequency and monetary in
    any order; they are put into this one. An array, or a frame with other columns, is clustered
    in the same way, and its segments are numbers.
    """

    def __init__(self, n_segments=None, random_state=42):
        self.n_segments = n_segments
        self.random_state = random_state

    def __sklearn_tags__(self):
        """Tell scikit-learn that the logarithm wants values of 0 or more."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def fit(self, X, y=None):
        """
        Find the segments.

        Parameters
        ----------
        X : DataFrame or array of shape (n_customers, n_features)
            Usually from ``rfm_table``. Values of 0 or more.
        y : ignored

        Returns
        -------
        CustomerSegmenter

        Raises
        ------
        InputError
            If the customers are too few, or too alike, for the segments asked for.
        ValueError
            If a value is missing, infinite or negative, or there is no customer.
        """
        is_rfm = _is_rfm(X)
        X = validate_data(self, X[RFM] if is_rfm else X, dtype=np.float64)
        if X.min() < 0:
            raise ValueError(_NEGATIVE)
        prepare = make_pipeline(
            FunctionTransformer(np.log1p, np.expm1, feature_names_out="one-to-one"),
            StandardScaler(),
        )
        scaled = prepare.fit_transform(X)
        self.n_segments_ = self._number_of_segments(scaled)

        # More restarts than the sweep: which customer is named what should not hang on a seed.
        found = fit_kmeans(scaled, self.n_segments_, n_init=300, random_state=self.random_state)
        positions = _positions(X, found.labels_, lower_is_better=[0] if is_rfm else [])
        best_first = np.lexsort(np.vstack([positions.T, positions.mean(axis=1)]))[::-1]
        # Starting at its own centres, k-means stays there: this only renumbers the clusters.
        kmeans = KMeans(
            self.n_segments_, init=found.cluster_centers_[best_first], n_init=1, tol=0
        ).fit(scaled)
        self.pipeline_ = make_pipeline(*(step for _, step in prepare.steps), kmeans)
        self.labels_ = kmeans.labels_
        self.positions_ = positions[best_first]
        self.sizes_ = np.bincount(self.labels_)
        if is_rfm and self.n_segments_ <= len(PROTOTYPES):
            self.names_ = name_profiles(self.positions_)["segment"].to_numpy(dtype=str)
        else:
            self.names_ = np.arange(self.n_segments_)
        return self

    def _number_of_segments(self, scaled):
        """Return the number asked for, checked, or the one the evidence chooses."""
        n_distinct = len(np.unique(scaled, axis=0))
        if len(scaled) < 2:
            raise InputError(
                "There is only one customer (n_samples=1); segments need at least two. Check the "
                "column of the customers."
            )
        if n_distinct < 2:
            raise InputError(
                f"All {len(scaled):,} customers have the same recency, frequency and monetary "
                "value, so there is nothing to tell apart. Check the columns of the file."
            )
        self._evidence = None
        if self.n_segments is None:
            if n_distinct == 2:
                return 2
            evidence = sweep_k(scaled, random_state=self.random_state)
            self._evidence = {"n_clusters": evidence.index.to_numpy(), **evidence.to_dict("list")}
            return choose_k(evidence).n_clusters
        if not 2 <= self.n_segments <= n_distinct:
            raise InputError(
                f"n_segments is {self.n_segments}, and has to be from 2 to {n_distinct:,}, the "
                f"number of different rows among n_samples={len(scaled):,} customers."
            )
        return self.n_segments

    def predict(self, X):
        """
        Name the segment of each customer, also of customers that were not in the fit.

        Parameters
        ----------
        X : DataFrame or array of shape (n_customers, n_features)
            The same features as in ``fit``, recency counted from the day of scoring.

        Returns
        -------
        array of shape (n_customers,)
            Of ``names_``.
        """
        check_is_fitted(self)
        X = X[RFM] if _is_rfm(X) else X
        X = validate_data(self, X, dtype=np.float64, reset=False)
        if X.min() < 0:
            raise ValueError(_NEGATIVE)
        return self.names_[self.pipeline_.predict(X)]

    @property
    def profiles_(self):
        """
        Evidence for each name: DataFrame indexed by "segment", best profile first.

        "cluster", "size" (customers), "position of <feature>" (0 worst, 1 best of the base), and
        for named segments "distance" to the prototype of the name and the "nearest other" name.
        """
        features = self._features()
        table = pd.DataFrame(
            self.positions_, columns=[f"position of {feature}" for feature in features]
        )
        table.insert(0, "cluster", range(self.n_segments_))
        table.insert(1, "size", self.sizes_)
        if self.names_.dtype.kind == "U":
            evidence = name_profiles(self.positions_)
            table = table.join(evidence[["distance", "nearest other"]])
        return table.set_index(pd.Index(self.names_, name="segment"))

    @property
    def centers_(self):
        """
        Centre of each segment in the features' own units: DataFrame indexed by "segment".

        Averages were taken of logarithms, so these are geometric means: a typical customer,
        below the arithmetic mean that a few large ones pull up.
        """
        centers = self.pipeline_[-1].cluster_centers_
        for _, step in reversed(self.pipeline_.steps[:-1]):
            centers = step.inverse_transform(centers)
        return pd.DataFrame(
            centers, index=pd.Index(self.names_, name="segment"), columns=self._features()
        )

    @property
    def k_evidence_(self):
        """
        The table of ``sweep_k`` that chose the number of segments.

        None if nothing was to be chosen: the number was given, or only two customers differ.
        """
        if self._evidence is None:
            return None
        return pd.DataFrame(self._evidence).set_index("n_clusters")

    def _features(self):
        """Names of the features, as far as they are known."""
        if hasattr(self, "feature_names_in_"):
            return list(self.feature_names_in_)
        return [f"feature {i}" for i in range(self.positions_.shape[1])]


def _is_rfm(X):
    """Whether X is a frame of recency, frequency and monetary, in any order."""
    columns = list(getattr(X, "columns", []))
    return len(columns) == len(RFM) and set(columns) == set(RFM)


def _positions(X, labels, lower_is_better):
    """Mean position of each cluster's customers in the base: 0 worst, 1 best."""
    X = X.copy()
    X[:, lower_is_better] *= -1
    ranks = pd.DataFrame(X).rank(pct=True)
    return ranks.groupby(labels).mean().to_numpy()


def name_profiles(positions):
    """
    Match profiles one to one with ``PROTOTYPES``.

    The sum of squared distances is the smallest possible [1]_. A profile that is the best in
    every feature always gets the first prototype's name, "Champions".

    Parameters
    ----------
    positions : array of shape (n_segments, n_features)
        Mean position of each segment in the base, 0 worst to 1 best.
        At most as many as there are prototypes.

    Returns
    -------
    DataFrame, one row a segment, in the order given
        "segment" (its name), "distance" to that prototype, "nearest other" (the closest name
        besides).

    Raises
    ------
    ValueError
        If there are more segments than prototypes.

    References
    ----------
    .. [1] ``scipy.optimize.linear_sum_assignment``, which solves the assignment problem.
    """
    positions = np.asarray(positions, dtype=float)
    if len(positions) > len(PROTOTYPES):
        raise ValueError(
            f"There are names for {len(PROTOTYPES)} segments, not for {len(positions)}."
        )
    distances = cdist(positions, PROTOTYPES)
    cost = distances**2
    best = np.flatnonzero((positions >= positions.max(axis=0)).all(axis=1))
    if len(best):
        # Cheaper than any other saving in the sum can be.
        cost[best[0], 0] = -cost.sum()
    # Sorted, so that equally good matches do not depend on the order of the segments.
    order = np.lexsort(positions.T)
    rows, columns = linear_sum_assignment(cost[order])
    match = np.empty(len(positions), dtype=int)
    match[order[rows]] = columns

    others = distances.copy()
    others[np.arange(len(match)), match] = np.inf
    return pd.DataFrame(
        {
            "segment": PROTOTYPES.index[match],
            "distance": distances[np.arange(len(match)), match],
            "nearest other": PROTOTYPES.index[others.argmin(axis=1)],
        }
    )


def segment_summary(rfm, segments):
    """
    Mean, median and count of each feature in each segment.

    Parameters
    ----------
    rfm : DataFrame of shape (n_customers, n_features)
    segments : array of shape (n_customers,)
        Name of each customer's segment.

    Returns
    -------
    DataFrame indexed by "segment", the highest mean of the last feature first
        Columns (feature, "mean"), (feature, "median"), (feature, "count").
    """
    groups = rfm.groupby(pd.Index(segments, name="segment"))
    by_value = groups[rfm.columns[-1]].mean().sort_values(ascending=False, kind="stable").index
    return groups.agg(["mean", "median", "count"]).loc[by_value]


def revenue_by_segment(rfm, segments):
    """
    Revenue of each segment, largest first.

    Parameters
    ----------
    rfm : DataFrame
        With a column "monetary".
    segments : array of shape (n_customers,)

    Returns
    -------
    DataFrame indexed by "segment"
        "customers", "customer share", "revenue", "revenue share", "cumulative share".
    """
    money = rfm.groupby(pd.Index(segments, name="segment"))["monetary"].agg(["size", "sum"])
    money = money.sort_values("sum", ascending=False, kind="stable")
    return pd.DataFrame(
        {
            "customers": money["size"],
            "customer share": money["size"] / len(rfm),
            "revenue": money["sum"],
            "revenue share": money["sum"] / money["sum"].sum(),
            "cumulative share": money["sum"].cumsum() / money["sum"].sum(),
        }
    )


def forecast_auc(scores, came_back, *, n_boot=1_000, random_state=None):
    """
    How well a score, such as the profile of a segment, forecasts which customers come back.

    Parameters
    ----------
    scores : array of shape (n_customers,)
        Known before; more is better. Customers of one segment may share one.
    came_back : bool array of shape (n_customers,)
        Known after; some did and some did not.
    n_boot : int, default=1_000
        Draws of the customers with replacement for the interval.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    auc, low, high : float
        Chance that a customer who came back had a higher score than one who did not, a tie
        counting half (the area under the ROC curve: 0.5 is chance, 1 a perfect forecast), and
        the ends of its 95 % bootstrap interval.

    Raises
    ------
    ValueError
        If all customers came back, or none.
    """
    came_back = np.asarray(came_back, dtype=bool)
    if came_back.all() or not came_back.any():
        raise ValueError(f"All {len(came_back):,} customers did the same: nothing to forecast.")
    # Customers of equal score and fate are alike: drawing them is drawing how many of each kind.
    values, codes = np.unique(scores, return_inverse=True)
    counts = np.bincount(2 * codes + came_back, minlength=2 * len(values))
    rng = check_random_state(random_state)
    drawn = rng.multinomial(len(codes), counts / len(codes), size=n_boot)
    low, high = np.nanquantile(_auc(drawn), [0.025, 0.975])
    return float(_auc(counts)), float(low), float(high)


def _auc(counts):
    """AUC from numbers of customers: for each score, in order, who stayed away and who came."""
    away, back = counts[..., ::2], counts[..., 1::2]
    wins = (back * (away.cumsum(axis=-1) - away / 2)).sum(axis=-1)
    pairs = away.sum(axis=-1) * back.sum(axis=-1)
    # A draw without any pair says nothing.
    return np.divide(wins, pairs, out=np.full(np.shape(wins), np.nan), where=pairs > 0)


class SegmentPlay(Play):
    """What to do with one segment."""

    strategy: str
    action: str
    channel: str
    effort: float = pydantic.Field(ge=0, allow_inf_nan=False)


def read_playbook(path):
    """
    Read what to do with each segment.

    Parameters
    ----------
    path : str or Path
        YAML: segment name -> "strategy", "action", "channel" (text) and "effort" (number of 0 or
        more: budget for each unit of the segment's revenue, against 1 for the others).

    Returns
    -------
    DataFrame indexed by "segment"
        "strategy", "action", "channel", "effort".

    Raises
    ------
    InputError
        If the file cannot be read, an entry is missing, unknown, given twice or of the wrong
        kind, or every effort is 0.
    """
    plays = read_plays(path, SegmentPlay, "segment")
    if not plays["effort"].any():
        raise InputError(
            f"{Path(path).name}: every effort is 0, so no budget can be shared out. Give at least "
            "one segment an effort above 0."
        )
    return plays


def recommendations(rfm, segments, playbook):
    """
    What each segment is worth and what to do about it, most revenue first.

    Parameters
    ----------
    rfm : DataFrame
        With columns "recency", "frequency", "monetary".
    segments : array of shape (n_customers,)
    playbook : DataFrame
        From ``read_playbook``.

    Returns
    -------
    DataFrame indexed by "segment"
        The columns of ``revenue_by_segment``, the averages "mean recency", "mean frequency",
        "mean monetary", and the playbook's "strategy", "action", "channel", "effort".

    Raises
    ------
    InputError
        If the playbook has no entry for a segment, or gives all of them an effort of 0.
    """
    money = revenue_by_segment(rfm, segments)
    plays = plays_for(money.index, playbook)
    if not plays["effort"].any():
        raise InputError(
            f"The playbook gives an effort of 0 to each segment found ({', '.join(plays.index)}), "
            "so a budget cannot be shared out. Give at least one of them an effort above 0."
        )
    means = rfm.groupby(pd.Index(segments, name="segment")).mean().add_prefix("mean ")
    return money.join(means).join(plays)


def allocate_budget(budget, weights):
    """
    Share out a budget in proportion to weights, to the cent.

    Every share is rounded down; the cents left over go to the largest remainders, so that the
    shares add up to the budget exactly.

    Parameters
    ----------
    budget : float
        0 or more, in units of money; rounded to cents.
    weights : Series of shape (n_segments,)
        0 or more, not all 0.

    Returns
    -------
    int Series of shape (n_segments,)
        Cents for each segment.

    Raises
    ------
    ValueError
        If a weight or the budget is negative or not finite, or all weights are 0.

    Examples
    --------
    >>> allocate_budget(100, pd.Series({"a": 1, "b": 1, "c": 1})).tolist()
    [3334, 3333, 3333]
    """
    weights = weights.astype(float)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise ValueError(f"Weights must be 0 or more and not all 0; they are {weights.to_dict()}.")
    if not (np.isfinite(budget) and budget >= 0):
        raise ValueError(f"The budget must be 0 or more; it is {budget}.")
    total = round(budget * 100)
    exact = total * (weights / weights.sum())
    cents = np.floor(exact).astype("int64")
    left_over = total - cents.sum()
    largest = (exact - cents).sort_values(ascending=False, kind="stable").index[:left_over]
    cents[largest] += 1
    return cents.rename("cents")
