"""Metrics in the form of Prometheus, of this process or of all workers together.

Several workers share files in a folder: each counts in its own, and whichever is asked adds them up. Labels have a
known few values each; nothing that a stranger writes becomes one.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from arcbilling import __version__, clock
from resolvers.figures import Figures

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of prometheus_client that names the folder of several workers."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # nobody asks when a counter was made


class Metrics:
    """What a process counts."""

    def __init__(self) -> None:
        own = self._own = CollectorRegistry()
        self._folder = os.environ.get(FOLDER)
        self._requests = Counter(
            "arcbilling_http_requests",
            "Requests answered; status 429 is the rate limit, 0 a caller that went away before the answer.",
            ("door", "method", "route", "status"),
            registry=own,
        )
        self._seconds = Histogram(
            "arcbilling_http_request_seconds",
            "How long requests took, from their head to the end of the answer.",
            ("door", "method", "route"),
            buckets=SECONDS,
            registry=own,
        )
        self._series: dict[tuple[str, str, str, int], tuple[Counter, Histogram]] = {}
        """Looked up by Prometheus's own means they would cost as much again as counting."""
        self.in_flight = Gauge(
            "arcbilling_http_requests_in_flight",
            "Requests that are being answered.",
            registry=own,
            multiprocess_mode="livesum",
        )
        self._streams = Gauge(
            "arcbilling_streams",
            "Sockets and event streams that are open.",
            ("transport",),
            registry=own,
            multiprocess_mode="livesum",
        )
        self._attempts = Counter(
            "arcbilling_delivery_attempts",
            "Attempts at deliveries: delivered, retried later, or failed for good.",
            ("outcome",),
            registry=own,
        )
        self._commits = Counter("arcbilling_commits", "Units of work that were committed.", registry=own)
        self._steps = Counter("arcbilling_loop_steps", "Steps of background loops.", ("loop", "outcome"), registry=own)
        self._succeeded = Gauge(
            "arcbilling_loop_last_success_timestamp_seconds",
            "When a step of a background loop last succeeded, in any worker.",
            ("loop",),
            registry=own,
            multiprocess_mode="livemax",
        )

    def request(self, door: str, method: str, route: str, status: int, seconds: float) -> None:
        series = self._series.get((door, method, route, status))
        if series is None:
            series = self._requests.labels(door, method, route, status), self._seconds.labels(door, method, route)
            self._series[door, method, route, status] = series
        requests, durations = series
        requests.inc()
        durations.observe(seconds)

    @contextmanager
    def streaming(self, transport: str) -> Iterator[None]:
        """Counts a stream as open for as long as the block."""
        open_ones = self._streams.labels(transport)
        open_ones.inc()
        try:
            yield
        finally:
            open_ones.dec()

    def delivery(self, outcome: str) -> None:
        self._attempts.labels(outcome).inc()

    def step(self, loop: str, succeeded: bool) -> None:
        self._steps.labels(loop, "succeeded" if succeeded else "failed").inc()
        if succeeded:
            self._succeeded.labels(loop).set(clock.now().timestamp())

    def counting_commits(self, committed: Callable[[], None]) -> Callable[[], None]:
        """What to call after a commit, so that it is counted too."""

        def counted() -> None:
            self._commits.inc()
            committed()

        return counted

    def text(self, stored: Figures | None, accept: str) -> tuple[bytes, str]:
        """Everything as a text, and its media type."""
        shown = CollectorRegistry()
        if self._folder is None:
            shown.register(self._own)
        else:
            MultiProcessCollector(shown, self._folder)  # type: ignore[no-untyped-call]
        shown.register(_Families(_version))
        shown.register(_Families(lambda: _stored(stored)))
        shown.register(_Families(lambda: _processes(self._pids())))
        encode, media_type = choose_encoder(accept)
        return encode(shown), media_type

    def _pids(self) -> list[int]:
        """The processes that count: this one, or each worker that has a file of what is now."""
        if self._folder is None:
            return [os.getpid()]
        return sorted(int(path.stem.rpartition("_")[2]) for path in Path(self._folder).glob("gauge_livesum_*.db"))


class _Families(Collector):
    """Figures that are looked up when somebody asks."""

    def __init__(self, look_up: Callable[[], Iterable[Metric]]) -> None:
        self._look_up = look_up

    def collect(self) -> Iterable[Metric]:
        return self._look_up()


def _version() -> Iterator[Metric]:
    family = GaugeMetricFamily("arcbilling_info", "The version that runs.", labels=["version"])
    family.add_metric([__version__], 1)
    yield family


def _stored(stored: Figures | None) -> Iterator[Metric]:
    """What the database knows; nothing while it is away."""
    if stored is None:
        return
    yield CounterMetricFamily("arcbilling_events_numbered", "Events that have a number.", stored.numbered)
    yield GaugeMetricFamily("arcbilling_events_unnumbered", "Events that wait for their number.", stored.unnumbered)
    yield GaugeMetricFamily("arcbilling_deliveries_due", "Deliveries that could be made by now.", stored.due)
    waited = 0.0 if stored.due_since is None else max(0.0, (clock.now() - stored.due_since).total_seconds())
    yield GaugeMetricFamily("arcbilling_delivery_oldest_due_seconds", "How long the oldest of them waits.", waited)
    calls = GaugeMetricFamily("arcbilling_module_calls", "Module calls that are not done.", labels=["status"])
    for status, number in stored.module_calls.items():
        calls.add_metric([status], number)
    yield calls


def _processes(pids: Iterable[int]) -> Iterable[Metric]:
    """Memory, processor time and open files of each process, under the usual names and with its pid."""
    families: dict[str, Metric] = {}
    for pid in pids:
        for family in ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect():  # type: ignore[misc]
            merged = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                merged.add_sample(sample.name, {"pid": str(pid)}, sample.value)
    return families.values()
