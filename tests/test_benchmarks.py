"""The benchmarks: that every case works from end to end, and how they count; never how fast."""

from __future__ import annotations

import doctest
import importlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
RUN = str(ROOT / "benchmarks" / "run.py")
ROWS = {
    "mlp_32": ["mlp_32", "mlp_32"],
    "mlp_256": ["mlp_256", "mlp_256"],
    "memory_in": ["memory_in"],
    "records": ["records, 1 worker", "records, 2 workers"],
    "png": ["png"],
    "stream": ["stream, speed", "stream, memory"],
    "score": ["score"],
    "one_record": ["one_record"],
    "serve": ["serve, p50", "serve, p99", "serve, p50", "serve, 1,000 rows"],
    "serve_many": ["serve_many"],
    "serve_start": ["serve_start"],
    "serve_memory": ["serve_memory"],
    "log_model": ["log_model"],
    "iris": ["iris"],
    "latency": ["latency"],
    "outage": ["outage, gone", "outage, hanging"],
}
HEADS = ["case", "against", "ours", "peer", "unit", "ratio", "least–most", "goal", "holds"]


@pytest.fixture(autouse=True)
def bench_path(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


@pytest.fixture
def harness():
    return importlib.import_module("harness")


@pytest.fixture
def row(harness):
    def make(case="a", goal=None, note=""):
        goal = goal or harness.Goal(2.0)
        return harness.Row(
            case, "peer", "records/s", [3000, 2500, 900], [1000, 1250, 300], goal, note
        )

    return make


@pytest.fixture
def case(harness):
    return lambda name, measure: harness.Case(name, f"What {name} is,\nin two lines.", measure)


def bench(*arguments):
    return subprocess.run(
        [sys.executable, RUN, *arguments], capture_output=True, text=True, timeout=900
    )


def test_list_names_the_cases():
    done = bench("--list")
    assert (done.returncode, done.stdout.splitlines(), done.stderr) == (0, list(ROWS), "")


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS)
def test_a_case_works_from_end_to_end(name):
    done = bench("--short", "--case", name)
    assert done.returncode == 0, done.stderr
    # A difference of two that are much the same falls on either side of nought.
    ratios = ", ".join([r"-?\d+\.\d\d"] * len(ROWS[name]))
    assert re.fullmatch(rf"{name}: {ratios} in \d+ s\n", done.stderr)
    head, *rows, last = done.stdout.splitlines()
    assert head.split() == [
        "case",
        "against",
        "ours",
        "peer",
        "unit",
        "ratio",
        "least–most",
        "goal",
        "holds",
    ]
    assert [re.split(r" {2,}", row)[0] for row in rows] == ROWS[name]
    assert last == "sizes were tiny: the figures mean nothing"


def test_the_page_tells_of_every_case():
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    table = [line.split(" | ")[0][2:] for line in page.splitlines() if line.startswith("| ")]
    cases = importlib.import_module("cases").CASES
    rows = [name for case in cases for name in ROWS[case]]
    assert [name for name in table if name in rows] == rows
    about = [f"**{case.name}.** {' '.join(case.about.split())}" for case in cases.values()]
    assert re.findall(r"^\*\*.*", page, re.M) == about


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--write", "--short"], "--write needs a whole run: leave out --short and --case"),
        (["--write", "--case", "iris"], "--write needs a whole run: leave out --short and --case"),
        (["--rounds", "0"], "--rounds: expected 1 or more, got 0"),
        (["--case", "nope"], "argument --case: invalid choice: 'nope' (choose from {})"),
    ],
)
def test_options_that_make_no_sense(arguments, message):
    done = bench(*arguments)
    names = ", ".join(map(repr, ROWS))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == f"run.py: error: {message.format(names)}"


@pytest.mark.parametrize(("name", "examples"), [("harness", 3), ("load_client", 1), ("turns", 1)])
def test_doctests(name, examples):
    module = importlib.import_module(name)
    assert doctest.testmod(module) == doctest.TestResults(failed=0, attempted=examples)


def test_a_row_is_judged_by_the_median_of_its_rounds(harness, row):
    held = row()
    assert (held.ratios, held.ratio, held.holds) == ([3.0, 2.0, 3.0], 3.0, True)
    assert not row(goal=harness.Goal(2.9, at_most=True)).holds
    assert row(goal=harness.Goal(3.0, at_most=True)).holds


def test_sides_are_measured_in_turn(harness, tmp_path):
    seen = []
    taken = harness.Bench(tmp_path, rounds=3).in_turn(
        a=lambda: seen.append("a") or len(seen), b=lambda: seen.append("b") or len(seen)
    )
    assert ("".join(seen), taken) == ("abbaab", {"a": [1, 4, 5], "b": [2, 3, 6]})


def test_a_function_is_called_in_a_process_of_its_own(harness, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "import os, pathlib\n"
        "def tell(word):\n"
        "    pathlib.Path('left').touch()\n"
        "    return [word, os.getcwd(), os.listdir()]\n"
        "def fail():\n"
        "    raise ValueError('so it is')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    mine = importlib.import_module("mine")
    data = tmp_path / "data"
    data.mkdir()
    mine_bench = harness.Bench(data, rounds=1)
    answer = mine_bench.call(mine.tell, word="hello")
    word, folder, files = answer.value
    assert (word, Path(folder).parent, files) == ("hello", data, ["left"])
    assert answer.peak > 1e6
    with pytest.raises(harness.CaseError, match=r"(?s)mine:fail.*status 1:.*ValueError: so it is$"):
        mine_bench.call(mine.fail)
    assert list(data.iterdir()) == []


def test_data_is_made_once(harness, tmp_path):
    makers = importlib.import_module("makers")
    mine = harness.Bench(tmp_path, rounds=1)
    made = []
    mine.call = lambda make, **arguments: (made.append(1), make(**arguments))
    paths = {mine.made("t.parquet", makers.make_table, records=10, seed=1) for _ in range(2)}
    assert (paths, made) == ({tmp_path / "t.parquet"}, [1])
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_what_broke_off_half_way_is_made_again(harness, tmp_path):
    makers = importlib.import_module("makers")
    mine = harness.Bench(tmp_path, rounds=1)
    mine.call = lambda make, **arguments: make(**arguments)
    (tmp_path / "half-images").mkdir()
    folder = mine.made("images", makers.make_images, count=2, pixels=8)
    assert sorted(path.name for path in folder.iterdir()) == [
        "000000.png", "000001.png", "images.csv"
    ]  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_a_table_in_parts_holds_as_many_records(tmp_path):
    import pyarrow.parquet as pq

    makers = importlib.import_module("makers")
    makers.make_table(str(tmp_path / "whole"), 70_000, seed=1)
    makers.make_table(str(tmp_path / "parts"), 70_000, seed=1, in_parts=True)
    whole, parts = (pq.ParquetFile(tmp_path / name) for name in ("whole", "parts"))
    assert whole.schema_arrow == parts.schema_arrow
    assert [whole.metadata.num_row_groups, parts.metadata.num_row_groups] == [1, 2]
    assert [whole.metadata.num_rows, parts.metadata.num_rows] == [70_000, 70_000]


def test_the_environment_holds_nothing_of_the_callers_that_changes_what_is_measured(harness):
    given = {"MLFLOW_TRACKING_URI": "http://host", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "here"}
    made = harness.environment(given)
    assert made.pop("PYTHONPATH")
    assert made == {
        "HOME": "here",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def test_a_case_that_fails_does_not_stop_the_next(harness, row, case, capsys, monkeypatch):
    run = importlib.import_module("run")
    monkeypatch.setattr(run.time, "perf_counter", lambda: 0)

    def fail(_):
        raise harness.CaseError("its process\nfell over")

    good = row()
    cases = [case("bad", fail), case("good", lambda _: [good])]
    rows, failed = run.measure(None, cases, run.Figures(None, "1f0c", 3, {}), anew=False)
    assert (rows, failed) == ([good], True)
    assert capsys.readouterr().err == "bad: its process\nfell over\ngood: 3.00 in 0 s\n"


def test_a_run_that_broke_off_goes_on(row, case, capsys, monkeypatch, tmp_path):
    run = importlib.import_module("run")
    monkeypatch.setattr(run.time, "perf_counter", lambda: 0)
    measured = []

    def measure(name, state="1f0c", rounds=3, cores="2", anew=False):
        here = case(name, lambda _: measured.append(name) or [row(name), row(note="as told")])
        figures = run.Figures(tmp_path, state, rounds, {"processor": cores})
        return run.measure(None, [here], figures, anew)

    first = measure("a")
    assert measure("a") == first
    assert measured == ["a"]
    assert capsys.readouterr().err == "a: 3.00, 3.00 in 0 s\na: 3.00, 3.00 before\n"
    for changed in (
        {"anew": True},
        {"rounds": 2},
        {"cores": "8"},
        {"state": "2e1d"},
        {"state": None},
    ):
        assert measure("a", **changed) == first
    assert measured == ["a"] * 6


def test_the_state_of_the_code_is_that_of_its_commit(tmp_path):
    figures = importlib.import_module("figures")
    assert figures.code_state(tmp_path) is None

    def commit(message):
        for arguments in (["add", "."], ["commit", "-qm", message]):
            identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
            subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True)
        return figures.code_state(tmp_path)

    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    modules = [tmp_path / folder / "a.py" for folder in ("barrage_mlflow", "benchmarks")]
    for module in modules:
        module.parent.mkdir()
        module.touch()
    states = [commit("begun")]
    assert states[0] is not None
    (tmp_path / "README.md").touch()
    assert commit("told") == states[0]
    for module in modules:
        module.write_text("a = 1\n")
        assert figures.code_state(tmp_path) is None
        states.append(commit(module.parent.name))
    assert len({*states, None}) == 4


def test_table_on_the_terminal(harness, row):
    page = importlib.import_module("page")
    rows = [row(note="as told"), row("longer", harness.Goal(0.95, at_most=True))]
    assert page.text_table(rows).splitlines() == [
        "case    against   ours   peer  unit       ratio  least–most      goal  holds",
        "a       peer     2,500  1,000  records/s   3.00  2.00–3.00    ≥ 2.0 ×  yes    as told",
        "longer  peer     2,500  1,000  records/s   3.00  2.00–3.00   ≤ 0.95 ×  NO",
    ]


def test_page(row, case):
    page = importlib.import_module("page")
    machine = {"processor": "fast, 2 cores", "versions": "Python 3"}
    made = page.markdown_page(
        [row(note="as told")], [case("a", None)], 3, machine, date(2026, 1, 2)
    )
    assert made == (
        "# Benchmarks\n\n"
        "<!-- made by: python benchmarks/run.py --write -->\n\n"
        "Measured by `python benchmarks/run.py --write`, written on 2026-01-02. Each side runs "
        "in a fresh process of its own, 3 times, ours and the peer's in turn. `ours` and `peer` "
        "are medians over the rounds; `ratio`, ours by the peer's, is the median of the rounds' "
        "ratios, and beside it stand the least and the most of them. Each peer is what a user "
        "would use instead, at its best.\n\n"
        "| case | against | ours | peer | unit | ratio | least–most | goal | holds | note |\n"
        "| --- | --- | ---: | ---: | --- | ---: | --- | ---: | --- | --- |\n"
        "| a | peer | 2,500 | 1,000 | records/s | 3.00 | 2.00–3.00 | ≥ 2.0 × | yes | as told |\n\n"
        "## Machine and versions\n\n"
        "| | |\n|---|---|\n| processor | fast, 2 cores |\n| versions | Python 3 |\n\n"
        "## The cases\n\n"
        "**a.** What a is, in two lines.\n\n"
        "## Run it\n\n"
        "From an environment that holds the engine and its test dependencies, on a machine that "
        "does nothing else:\n\n"
        "```bash\n"
        "python benchmarks/run.py                        # all, 75 minutes\n"
        "python benchmarks/run.py --case iris            # one of them; --list names them\n"
        "python benchmarks/run.py --short                # does it work? sizes are tiny\n"
        "python benchmarks/run.py --write                # all, and this page\n"
        "```\n"
    )


def test_machine_names_cores_memory_and_versions():
    machine = importlib.import_module("page").machine()
    assert list(machine) == ["processor", "memory", "system", "versions"]
    assert re.search(r"\S, \d+ cores$", machine["processor"])
    assert re.fullmatch(r"\d+ GiB", machine["memory"])
    assert re.match(r"Python 3\.\d+\.\d+, tensorflow \d", machine["versions"])


def test_the_stopwatch_leaves_validation_aside(monkeypatch):
    networks = importlib.import_module("networks")
    ticks = iter(range(100))
    monkeypatch.setattr(networks, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    stopwatch = networks.Stopwatch()
    for epoch in range(3):
        stopwatch.on_epoch_begin(epoch)
        if epoch:
            stopwatch.on_test_begin()
        stopwatch.on_epoch_end(epoch)
    assert (stopwatch.begins, stopwatch.ends, stopwatch.steady) == ([0, 2, 4], [1, 3, 5], [1, 1])


def test_config_and_code_make_the_same_network():
    import keras

    from barrage_mlflow.config import find_faults, read_config
    from barrage_mlflow.model import build_network

    networks = importlib.import_module("networks")
    config = networks.mlp_config(32, epochs=1)
    assert find_faults(read_config(config)) == []
    x, y = np.zeros((2, 20), "float32"), np.zeros(2, "float32")
    network = build_network(config, {}, ({"x": x}, {"y": y}))
    by_hand = networks.build_mlp()
    assert [tuple(weight.shape) for weight in network.weights] == [
        tuple(weight.shape) for weight in by_hand.weights
    ]
    assert isinstance(by_hand.optimizer, keras.optimizers.Adam)


def test_what_an_epoch_holds_is_counted():
    producing = importlib.import_module("producing")

    def epoch(index):
        return iter([({"x": np.zeros((2, 3))}, {"y": np.zeros(2)})] * (2 if index else 3))

    assert producing.seconds_of(lambda _: epoch(0), 2, records=6) > 0
    with pytest.raises(ValueError, match=r"^epoch 1: expected 6 records, got 4$"):
        producing.seconds_of(epoch, 2, records=6)
    with pytest.raises(ValueError, match=r"^epoch 1: expected 6 records, got 4$"):
        producing.seconds_in_turn({"ours": epoch}, 2, records=6)


def test_sides_take_turns_epoch_by_epoch():
    producing = importlib.import_module("producing")
    asked = []

    def side(name):
        def epoch(index):
            asked.append((name, index))
            return iter([({"x": np.zeros((2, 3))}, {"y": np.zeros(2)})] * 2)

        return epoch

    taken = producing.seconds_in_turn({name: side(name) for name in ("ours", "bare")}, 3, 4)
    assert sorted(asked) == [(name, index) for name in ("bare", "ours") for index in range(3)]
    assert [index for _, index in asked] == [0, 0, 1, 1, 2, 2]
    assert {name: len(seconds) for name, seconds in taken.items()} == {"ours": 2, "bare": 2}


def test_components_by_the_record_have_no_batch_form(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples" / "penguins")
    components = importlib.import_module("components")
    from barrage_mlflow.dataset import RecordLoader, RecordTransformer

    loader, transformer = components.OneBirdLoader, components.OneBirdTransformer
    assert loader.load_batch is RecordLoader.load_batch
    assert transformer.transform_batch is RecordTransformer.transform_batch


@pytest.fixture
def echo():
    """A server that sends back what it gets, backwards, once all of it is there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def serve():
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.sendall(receive(connection)[::-1])

        thread = threading.Thread(target=serve)
        thread.start()
        yield port
        thread.join()


def receive(connection):
    parts = []
    while part := connection.recv(65_536):
        parts.append(part)
    return b"".join(parts)


def test_the_slow_proxy_passes_on_all_bytes_in_order(echo):
    slow_proxy = importlib.import_module("slow_proxy").slow_proxy
    sent = [np.random.default_rng(seed).bytes(300_000) for seed in range(2)]
    got = []
    with slow_proxy(echo, latency=0.002) as port:
        for data in sent:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                got.append(receive(connection)[::-1])
    assert got == sent


@pytest.fixture
def answering():
    """A server whose answers are made of what is asked, and what it was asked and by whom."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        answer = (200, {"predictions": [{"y": [0.5]}]})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.client_address[1], body["dataframe_split"]["data"]))
            status, answer = self.answer
            if status is None:
                self.close_connection = True
                return
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            # In two pieces, as an answer may come.
            self.wfile.write(data[:5])
            self.wfile.flush()
            self.wfile.write(data[5:])

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield SimpleNamespace(port=server.server_port, asked=asked, handler=Handler)
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("connections", [1, 3])
def test_a_load_sends_each_request_once(answering, connections):
    load_client = importlib.import_module("load_client")
    requests = [load_client.split_request(["a"], [[index]]) for index in range(10)]
    done = load_client.load(answering.port, requests, connections)
    assert sorted(rows[0][0] for _, rows in answering.asked) == list(range(10))
    assert len({client for client, _ in answering.asked}) == connections
    assert len(done.latencies) == 10
    assert 0 < max(done.latencies) <= done.seconds


def test_a_load_ends_with_its_time(answering):
    load_client = importlib.import_module("load_client")
    requests = [load_client.split_request(["a"], [[index]]) for index in range(2)]
    done = load_client.load(answering.port, load_client.for_seconds(requests, 0.2), 2)
    assert done.seconds >= 0.2
    assert len(done.latencies) == len(answering.asked) > 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((400, {"message": "no"}), r'^HTTP/1.1 400 Bad Request\n{"message": "no"}$'),
        ((200, {"predictions": []}), r"^expected 1 predictions, got 0$"),
        ((None, None), r"^the server broke off: the server closed the connection$"),
    ],
)
def test_a_load_of_faults_is_no_figure(harness, answering, answer, message):
    load_client = importlib.import_module("load_client")
    answering.handler.answer = answer
    request = load_client.split_request(["a"], [[1]])
    with pytest.raises(harness.CaseError, match=message):
        load_client.load(answering.port, [request])


def test_scores_are_compared_whatever_holds_them(harness, answering):
    served = importlib.import_module("served_models").ServedModels(
        Path(), {}, [[0.0] * 20] * 2, [0.5, 0.25]
    )
    for right in ([{"y": [0.5]}, {"y": [0.25]}], [[0.5], [0.25]]):
        answering.handler.answer = (200, {"predictions": right})
        served.check(answering.port)
    answering.handler.answer = (200, {"predictions": [[0.5], [0.26]]})
    with pytest.raises(harness.CaseError, match=r"^a served score is off by 0\.01"):
        served.check(answering.port)


def test_a_server_that_does_not_start_says_why(harness, tmp_path):
    model_server = importlib.import_module("model_server")
    request = importlib.import_module("load_client").split_request(["a"], [[1]])
    with (
        model_server.model_server(str(tmp_path / "nowhere"), tmp_path) as server,
        pytest.raises(harness.CaseError, match=r"(?s)^the model server did not start:.*nowhere"),
    ):
        server.wait(request)


def test_a_server_ends_with_all_that_it_started(harness, tmp_path, monkeypatch):
    model_server = importlib.import_module("model_server")
    script = "import subprocess, sys; subprocess.Popen(['sleep', '600']).wait()"
    monkeypatch.setattr(model_server, "serve_command", lambda *_: [sys.executable, "-c", script])
    with model_server.model_server("", tmp_path) as server:
        deadline = time.monotonic() + 60
        while len(model_server.group_memory(server.process.pid)) < 2:
            assert time.monotonic() < deadline
        assert 1 < server.memory() < 100
    assert model_server.group_memory(server.process.pid) == []


def test_the_constant_model_answers_each_record():
    model = importlib.import_module("constant_model")._load_pyfunc("")
    assert model.predict([1, 2]) == [{"y": [0.5]}, {"y": [0.5]}]


def test_iris_runs_all_its_epochs_with_the_services_on():
    from barrage_mlflow.config import find_faults, read_config

    config = json.loads(importlib.import_module("cases.iris").patient_config(50))
    assert find_faults(read_config(config)) == []
    services = config["services"]
    assert [block["patience"] for block in services.values()] == [50, 50]
