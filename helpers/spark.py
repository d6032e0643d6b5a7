"""Apache Spark for the course: whether it is there, and a session that keeps to itself.

PySpark is the optional extra ``spark``; this module can be imported without it.
"""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from helpers.text import InputError

JAVA = 17
# Tasks of a stage. A constant, because Spark's own choice follows the cores, and the sums and
# the random starts of k-means follow the tasks.
N_PARTITIONS = 8
# Java's second compiler waits for code that runs ten times as often as by default: a session of a
# minute ends before its work pays, and until then it takes a core from whatever else is running. So
# do collectors of garbage that run beside the work; the serial one saves a quarter of all its time.
JAVA_OPTIONS = (
    "-XX:+UseSerialGC -XX:Tier4InvocationThreshold=50000 "
    "-XX:Tier4MinInvocationThreshold=6000 -XX:Tier4CompileThreshold=150000 "
    "-XX:Tier4BackEdgeThreshold=400000"
)


def why_absent():
    """
    Say why Spark cannot be used here.

    Returns
    -------
    str or None
        A sentence with what is missing and how to get it; None if nothing is.
    """
    if importlib.util.find_spec("pyspark") is None:
        return "PySpark is not installed: run `make spark`, or `pip install pyspark`."
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home, "bin"))) if home else shutil.which("java")
    where = "in JAVA_HOME" if home else "on the PATH"
    get = f"Install Java {JAVA} or later (Debian and Ubuntu: apt install openjdk-17-jre-headless)."
    if java is None:
        return f"There is no Java {where}, and Spark runs on it. {get}"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    version = re.search(r'version "(?:1\.)?(\d+)', said.stderr)
    if version is None or int(version[1]) < JAVA:
        found = version[1] if version else "of an unknown version"
        return f"The Java {where} is {found}, too old for Spark. {get}"
    return None


def start_spark(folder, master="local[*]", memory="2g"):
    """
    Start a Spark session that says nothing and gives the same results on any number of cores.

    Parameters
    ----------
    folder : str or Path
        Existing folder for what Spark writes on this machine: temporary files, and "spark.log".
    master : str, default="local[*]"
        All cores of this machine, or a cluster such as "spark://host:7077", whose workers have to
        see the files that you read under the same paths.
    memory : str, default="2g"
        Of the Java process beside Python.

    Returns
    -------
    pyspark.sql.SparkSession
        With times in UTC. Call ``stop`` in the end.

    Raises
    ------
    InputError
        If PySpark or Java are missing, or there is no such master.
    """
    reason = why_absent()
    if reason:
        raise InputError(reason)
    _check_reachable(master)
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    folder = Path(folder).resolve()
    settings = {
        "spark.driver.memory": memory,
        "spark.driver.extraJavaOptions": JAVA_OPTIONS,
        "spark.local.dir": folder,
        "spark.sql.warehouse.dir": folder / "warehouse",
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.default.parallelism": N_PARTITIONS,
        "spark.sql.shuffle.partitions": N_PARTITIONS,
        "spark.sql.adaptive.coalescePartitions.enabled": "false",
        # Arrow would need a library that changes how pandas keeps text. Small results come as rows.
        "spark.sql.execution.arrow.pyspark.enabled": "false",
    }
    if master.startswith("local") or _host_and_port(master)[0] in ("localhost", "127.0.0.1"):
        settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    builder = SparkSession.builder.master(master).appName("practical-clustering")
    for name, value in settings.items():
        builder = builder.config(name, str(value))
    log = folder / "spark.log"
    n_earlier = log.stat().st_size if log.exists() else 0
    is_first = SparkContext._gateway is None
    try:
        # Java inherits the standard error of this process, and keeps it.
        with _standard_error_to(log):
            return builder.getOrCreate()
    except Exception as error:
        said = log.read_bytes()[n_earlier:].decode(errors="replace")
        lines = [*said.splitlines(), *str(error).splitlines()]
        # Not before: Java is asked for the words of its error.
        if is_first:
            _end_java()
        fault = next(
            (line for line in lines if "Exception: " in line or "Error: " in line), lines[-1]
        )
        raise InputError(
            f"Spark does not start with spark_master = {master!r}: {fault.rstrip('.')}. "
            "Use local[*], or spark://host:7077 for a cluster."
        ) from None


def _end_java():
    """End the Java process, which would wait for another session until Python ends."""
    from pyspark import SparkContext

    gateway = SparkContext._gateway
    if gateway is not None:
        gateway.shutdown()
        # The end of what it reads is the sign for it to go.
        gateway.proc.stdin.close()
        gateway.proc.wait()
        SparkContext._gateway = SparkContext._jvm = None


def _host_and_port(master):
    """Return the first host of a cluster and its port, or two None."""
    found = re.match(r"spark://([^:,/]+):(\d+)", master)
    return (found[1], int(found[2])) if found else (None, None)


def _check_reachable(master):
    """Raise if nobody answers at a cluster's address; Spark would try for a minute."""
    host, port = _host_and_port(master)
    if host is None:
        return
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"spark_master: nobody answers at {master} ({reason}). Check the address, and whether "
            "the cluster runs."
        ) from None


@contextmanager
def _standard_error_to(path):
    """Send what this process and those it starts write to standard error into a file."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with Path(path).open("ab") as log:
            os.dup2(log.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
