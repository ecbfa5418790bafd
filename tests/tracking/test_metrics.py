"""The queue of metrics: nothing lost, nothing doubled, nobody kept waiting."""

import threading
import time

import pytest

from barrage_mlflow.errors import TrackingError
from barrage_mlflow.tracking import metrics
from barrage_mlflow.tracking.metrics import MetricQueue, Point


def points(count, first=0):
    return [Point("loss", float(number), 1_000 + number, number) for number in range(first, count)]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(metrics, "_PAUSES", (0.01,))


class Server:
    """Takes points, unless it is down or refuses."""

    def __init__(self):
        self.requests = []
        self.error = None
        self.open = threading.Event()
        self.open.set()

    def __call__(self, batch):
        self.open.wait()
        if self.error:
            raise self.error
        self.requests.append(list(batch))

    @property
    def points(self):
        return [point for request in self.requests for point in request]


def test_points_arrive_once_and_in_order():
    server = Server()
    queue = MetricQueue(server)
    for number in range(100):
        queue.put(points(number + 1, number))
    queue.close(10)
    assert server.points == points(100)


def test_what_waits_goes_in_one_request_of_at_most_a_thousand():
    server = Server()
    queue = MetricQueue(server)
    server.open.clear()
    queue.put(points(1))
    time.sleep(0.05)
    queue.put(points(2_501, 1))
    server.open.set()
    queue.close(10)
    assert [len(request) for request in server.requests] == [1, 1_000, 1_000, 500]
    assert server.points == points(2_501)


def test_points_are_gathered_unless_somebody_waits(monkeypatch):
    monkeypatch.setattr(metrics, "_GATHERING", 60)
    server = Server()
    queue = MetricQueue(server)
    queue.put(points(1))
    while not server.requests:
        time.sleep(0.01)
    for number in range(1, 4):
        queue.put(points(number + 1, number))
    time.sleep(0.05)
    assert server.points == points(1)
    queue.flush(10)
    for number in range(4, 7):
        queue.put(points(number + 1, number))
    time.sleep(0.05)
    assert server.points == points(4)
    queue.put(points(1_010, 7))
    while len(server.requests) < 3:
        time.sleep(0.01)
    queue.close(10)
    assert [len(request) for request in server.requests] == [1, 3, 1_000, 6]
    assert server.points == points(1_010)


def test_put_does_not_wait_for_a_server_that_hangs():
    server = Server()
    queue = MetricQueue(server)
    server.open.clear()
    for number in range(1_000):
        queue.put(points(number + 1, number))
    assert server.points == []
    server.open.set()
    queue.close(10)
    assert server.points == points(1_000)


def test_points_are_kept_while_the_server_is_down(quick):
    server = Server()
    server.error = OSError("no route")
    queue = MetricQueue(server)
    queue.put(points(5))
    with pytest.raises(TrackingError, match=r"^5 metric values were not logged: no route$"):
        queue.flush(0.1)
    queue.put(points(7, 5))
    server.error = None
    queue.close(10)
    assert server.points == points(7)


def test_flush_does_not_wait_out_the_pause_between_attempts(monkeypatch):
    monkeypatch.setattr(metrics, "_PAUSES", (60,))
    server = Server()
    server.error = OSError("no route")
    queue = MetricQueue(server)
    queue.put(points(5))
    while queue._error is None:
        time.sleep(0.01)
    server.error = None
    queue.close(5)
    assert server.points == points(5)


def test_flush_does_not_wait_where_points_are_refused():
    server = Server()
    server.error = TrackingError("the run is deleted", "INVALID_PARAMETER_VALUE")
    queue = MetricQueue(server)
    queue.put(points(2))
    start = time.perf_counter()
    message = "^2 metric values were not logged: the run is deleted$"
    with pytest.raises(TrackingError, match=message):
        queue.close(30)
    assert time.perf_counter() - start < 5


def test_flush_says_that_nothing_was_sent_in_time():
    server = Server()
    server.open.clear()
    queue = MetricQueue(server)
    queue.put(points(3))
    message = r"^3 metric values were not logged: nothing was sent within 0\.05 s$"
    with pytest.raises(TrackingError, match=message):
        queue.flush(0.05)
    server.open.set()
    queue.close(10)


def test_two_threads_lose_nothing(quick):
    server = Server()
    queue = MetricQueue(server)

    def work(first):
        for number in range(first, first + 500):
            queue.put([Point("loss", 0.0, number, number)])

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 500)]
    for thread in threads:
        thread.start()
    server.error = OSError("no route")
    time.sleep(0.05)
    server.error = None
    for thread in threads:
        thread.join()
    queue.close(10)
    assert sorted(point.step for point in server.points) == list(range(1_000))


def test_an_unused_queue_has_no_thread():
    queue = MetricQueue(Server())
    queue.close(1)
    assert queue._thread is None


def test_the_thread_ends_with_the_queue():
    queue = MetricQueue(Server())
    queue.put(points(1))
    queue.close(10)
    queue._thread.join(10)
    assert not queue._thread.is_alive()
