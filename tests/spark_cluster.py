"""A Spark cluster of three processes on the loopback: a master, and two workers to kill."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 120  # seconds; Java starts slowly on a busy machine


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(true, what):
    """Wait for a condition, or fail with what was waited for."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.2)


class Cluster:
    """
    A master and two workers, each the first of a group of processes of its own.

    Attributes
    ----------
    master : str
        What to give as ``spark_master``.
    """

    def __init__(self, folder):
        self.folder = folder
        self._ui = free_port()
        self._processes = []
        port = free_port()
        self.master = f"spark://127.0.0.1:{port}"
        options = ["--host", "127.0.0.1", "--port", str(port), "--webui-port", str(self._ui)]
        self._start("master", "master.Master", *options)
        wait_until(lambda: self._state() is not None, "the master")
        for name in ("worker-1", "worker-2"):
            options = ["--host", "127.0.0.1", "-c", "1", "-m", "1g", "--webui-port", "0"]
            options += ["--work-dir", str(folder / name)]
            self._start(name, "worker.Worker", *options, self.master)
        wait_until(lambda: self.alive() == 2, "two workers")

    def _start(self, name, role, *options):
        import pyspark

        home = Path(pyspark.__file__).parent
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(
                    [home / "bin/spark-class", f"org.apache.spark.deploy.{role}", *options],
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env={**os.environ, "SPARK_LOCAL_DIRS": str(self.folder / "local")},
                )
            )

    def _state(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ui}/json/", timeout=5) as page:
                return json.load(page)
        except OSError:
            return None

    def alive(self):
        """Return how many workers the master counts on."""
        return self._state()["aliveworkers"]

    def finished_tasks(self, worker):
        """Return how many tasks the executors of a worker have finished, by their own logs."""
        logs = (self.folder / worker).glob("app-*/*/stderr")
        return sum(log.read_text(errors="replace").count("Finished task") for log in logs)

    def kill(self, number):
        """Kill a process and all it started, as a power cut would; 0 is the master."""
        os.killpg(self._processes[number].pid, signal.SIGKILL)
        self._processes[number].wait()

    def stop(self):
        for number, process in enumerate(self._processes):
            if process.poll() is None:
                self.kill(number)


@contextmanager
def cluster(folder):
    """Yield a running cluster."""
    running = None
    try:
        running = Cluster(folder)
        yield running
    finally:
        if running:
            running.stop()
