"""Time the anomaly helpers, and measure their memory, side by side with scikit-learn's DBSCAN.

Every measurement runs in a process of its own, because a process never tells less than the most
memory it ever held. What imports and data took is subtracted where two sides are compared, and
left in where a limit is to be kept. Only the ratios mean anything on another machine. The plain
side takes some 5 GB; ``--cluster-flows 20000`` is content with a quarter.
"""

import argparse
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.cluster import DBSCAN
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from helpers.anomalies import DensityDetector, alerts, flow_features
from helpers.density import NOISE, DensityGraph
from helpers.fixtures import ATTACKS, network_traffic
from helpers.measurement import own_peak

EPS, MIN_SAMPLES = 0.5, 10  # as in the source tutorial
NUMBERS = ["bytes_sent", "bytes_received", "packets_sent", "packets_received", "duration"]
MB = 1e6


def in_a_process(function, *arguments):
    """Return what a function returns when a new process calls it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def tutorial_features(n_flows):
    """Raw features as in the source tutorial, scaled: long tails, and nearly all rows near zero."""
    rng = np.random.default_rng(0)
    sent = rng.lognormal(8, 1.3, n_flows).round()
    received = np.where(rng.random(n_flows) < 0.02, 0, rng.lognormal(9.5, 1.3, n_flows).round())
    packets = np.ceil((sent + received) / rng.lognormal(6, 1, n_flows))
    flows = pd.DataFrame(
        {
            "total_bytes": sent + received,
            "total_packets": packets,
            "bytes_per_packet": (sent + received) / pd.Series(packets).replace(0, 1),
            "send_receive_ratio": sent / pd.Series(received).replace(0, 1),
            "duration": rng.lognormal(1, 2, n_flows),
        }
    )
    return StandardScaler().fit_transform(flows)


def by_scikit_learn(X):
    """Return core rows and noise as the source tutorial finds them."""
    model = DBSCAN(eps=EPS, min_samples=MIN_SAMPLES).fit(X)
    core = np.zeros(len(X), bool)
    core[model.core_sample_indices_] = True
    return core, model.labels_ == NOISE


def by_nearest_neighbors(X):
    """Return core rows and noise as the course finds them."""
    graph = DensityGraph(X, MIN_SAMPLES)
    return graph.core(EPS), graph.clusters(EPS) == NOISE


def cluster(method, n_flows):
    """Return seconds, bytes above those of imports and data, core rows and noise."""
    X = tutorial_features(n_flows)
    before, start = own_peak(), time.perf_counter()
    core, noise = method(X)
    return time.perf_counter() - start, own_peak() - before, core, noise


def benchmark_clusters(n_flows):
    """Print time and memory of both ways to the same clusters."""
    print(f"DBSCAN of {n_flows:,} flows of the source tutorial's kind")
    time_ours, memory_ours, *ours = in_a_process(cluster, by_nearest_neighbors, n_flows)
    time_plain, memory_plain, *plain = in_a_process(cluster, by_scikit_learn, n_flows)
    assert all((one == other).all() for one, other in zip(ours, plain, strict=True))
    print(f"  the same {ours[0].sum():,} core rows and {ours[1].sum():,} rows of noise")
    ratio = time_plain / time_ours
    print(f"  time: {time_ours:.2f} s against {time_plain:.2f} s, ratio {ratio:.1f} (wanted: 50)")
    sizes = f"{memory_ours / MB:,.0f} MB against {memory_plain / MB:,.0f} MB"
    print(f"  peak memory: {sizes}, ratio {memory_plain / memory_ours:.1f} (wanted: 10)")


def write_week(path, n_flows):
    """Write the numbers of a week with as large a share of attacks as in the course's own."""
    share = n_flows / len(network_traffic())
    attacks = ATTACKS.assign(number=(ATTACKS["number"].astype(float) * share).round().astype(int))
    flows = network_traffic(n_flows - attacks["number"].sum(), attacks=attacks)
    np.save(path, flows[NUMBERS].dropna().to_numpy(float))


def find_anomalies(path):
    """Return seconds of each step, peak memory in bytes, and the number of flows and alerts."""
    flows = pd.DataFrame(np.load(path), columns=NUMBERS)
    times = [time.perf_counter()]
    features = flow_features(flows)
    times.append(time.perf_counter())
    detector = make_pipeline(StandardScaler(), DensityDetector()).fit(features)
    times.append(time.perf_counter())
    found = alerts(flows, detector)
    times.append(time.perf_counter())
    return np.diff(times), own_peak(), len(flows), len(found)


def benchmark_pipeline(n_flows):
    """Print time and memory of everything from complete flows to alerts."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "flows.npy")
        in_a_process(write_week, path, n_flows)
        times, memory, n_complete, n_alerts = in_a_process(find_anomalies, path)
    print(f"From {n_complete:,} complete flows to {n_alerts:,} alerts, eps chosen on the way")
    steps = zip(["features", "scaling and fitting", "alerts"], times, strict=True)
    print(f"  {times.sum():.1f} s: " + ", ".join(f"{step} {took:.1f} s" for step, took in steps))
    print(f"  peak memory with imports and data: {memory / MB:,.0f} MB (wanted: below 2,000)")


def main():
    """Run both benchmarks at the sizes given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cluster-flows", type=int, default=40_000)
    parser.add_argument("--pipeline-flows", type=int, default=1_000_000)
    sizes = parser.parse_args()
    benchmark_clusters(sizes.cluster_flows)
    benchmark_pipeline(sizes.pipeline_flows)


if __name__ == "__main__":
    main()
