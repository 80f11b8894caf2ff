"""A server on this machine that answers like OpenML's, from datasets made for the tests, and fails when told to."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from xml.sax.saxutils import escape

import pandas as pd

from metahpo.datasets.prefetch import prefetch

XMLNS = 'xmlns:oml="http://openml.org/openml"'
BUSY = f"<oml:error {XMLNS}><oml:code>107</oml:code><oml:message>Database connection error</oml:message></oml:error>"


@dataclass
class Hosted:
    """A dataset as the server hosts it; names and sorts of its attributes are read from its ARFF file."""

    arff: str
    target: str | None = "class"
    row_id: str | None = None
    ignored: tuple[str, ...] = ()
    n_rows: int | None = None  # as counted among its qualities
    checksum: bool = True
    parquet: pd.DataFrame | None = None

    @property
    def attributes(self) -> dict[str, str]:
        """Name of each attribute -> its declaration."""
        found = re.findall(r"^@attribute\s+('[^']*'|\S+)\s+(.+)$", self.arff, re.IGNORECASE | re.MULTILINE)
        return {name.strip("'"): declared for name, declared in found}

    def description(self, url: str, data_id: int) -> str:
        """The document ``data/ID``."""
        optional = {
            "default_target_attribute": [self.target] if self.target else [],
            "row_id_attribute": [self.row_id] if self.row_id else [],
            "ignore_attribute": list(self.ignored),
            "md5_checksum": [hashlib.md5(self.arff.encode()).hexdigest()] if self.checksum else [],
            "parquet_url": [f"{url}/datasets/{data_id}/dataset_{data_id}.pq"] if self.parquet is not None else [],
        }
        return (
            f"<oml:data_set_description {XMLNS}><oml:id>{data_id}</oml:id><oml:name>fruit{data_id}</oml:name>"
            "<oml:version>3</oml:version><oml:description>Fruit.</oml:description>"
            f"<oml:format>{'Sparse_ARFF' if '{0' in self.arff else 'ARFF'}</oml:format><oml:licence>CC0</oml:licence>"
            f"<oml:url>{url}/download/{data_id}</oml:url><oml:file_id>{data_id}</oml:file_id>"
            + "".join(f"<oml:{tag}>{escape(v)}</oml:{tag}>" for tag, values in optional.items() for v in values)
            + "<oml:status>active</oml:status></oml:data_set_description>"
        )

    def features(self) -> str:
        """The document ``data/features/ID``."""
        text = ""
        for i, (name, declared) in enumerate(self.attributes.items()):
            sort = "nominal" if declared.startswith("{") else declared.split()[0].lower()
            sort = "numeric" if sort in ("real", "integer") else sort
            values = declared.strip("{} ").split(",") if sort == "nominal" else []
            text += (
                f"<oml:feature><oml:index>{i}</oml:index><oml:name>{escape(name)}</oml:name>"
                f"<oml:data_type>{sort}</oml:data_type>"
                + "".join(f"<oml:nominal_value>{escape(v)}</oml:nominal_value>" for v in values)
                + "<oml:number_of_missing_values>0</oml:number_of_missing_values></oml:feature>"
            )
        return f"<oml:data_features {XMLNS}>{text}</oml:data_features>"


@dataclass
class HostedTask:
    """A task as the server hosts it; `splits` is an ARFF file."""

    data_id: int
    target: str = "class"
    type_id: int = 1
    splits: str = ""
    procedure: dict[str, str] = field(default_factory=lambda: {"number_repeats": "1", "number_folds": "2"})

    def document(self, url: str, task_id: int) -> str:
        """The document ``task/ID``."""
        sort = {1: "Supervised Classification", 2: "Supervised Regression", 5: "Clustering", 7: "Survival Analysis"}
        parameters = "".join(f'<oml:parameter name="{k}">{v}</oml:parameter>' for k, v in self.procedure.items())
        return (
            f"<oml:task {XMLNS}><oml:task_id>{task_id}</oml:task_id><oml:task_name>t</oml:task_name>"
            f"<oml:task_type_id>{self.type_id}</oml:task_type_id><oml:task_type>{sort[self.type_id]}</oml:task_type>"
            f'<oml:input name="source_data"><oml:data_set><oml:data_set_id>{self.data_id}</oml:data_set_id>'
            f"<oml:target_feature>{self.target}</oml:target_feature></oml:data_set></oml:input>"
            '<oml:input name="estimation_procedure"><oml:estimation_procedure><oml:id>1</oml:id>'
            f"<oml:type>crossvalidation</oml:type><oml:data_splits_url>{url}/splits/{task_id}</oml:data_splits_url>"
            f"{parameters}</oml:estimation_procedure></oml:input>"
            '<oml:input name="evaluation_measures"><oml:evaluation_measures><oml:evaluation_measure>x'
            "</oml:evaluation_measure></oml:evaluation_measures></oml:input></oml:task>"
        )


def splits_of(folds: list[list[int]], n_rows: int, repeats: int = 1) -> str:
    """ARFF file of cross-validation splits with these test rows."""
    rows = [
        f"{'TEST' if row in test else 'TRAIN'},{row},{repeat},{fold}"
        for repeat in range(repeats)
        for fold, test in enumerate(folds)
        for row in range(n_rows)
    ]
    return (
        "@RELATION splits\n@ATTRIBUTE type {TRAIN,TEST}\n@ATTRIBUTE rowid INTEGER\n@ATTRIBUTE repeat INTEGER\n"
        "@ATTRIBUTE fold INTEGER\n@DATA\n" + "\n".join(rows) + "\n"
    )


class OpenMLServer(ThreadingHTTPServer):
    """Answers like OpenML's XML API and its file servers.

    `faults` holds (what the path contains, fault) pairs; a request takes the first that fits. Faults are "500" and
    "503" (pages for people), "page" (a page that is well-formed XML), "busy" (OpenML's own code for that), "412" (an
    error that is no XML), "hang up", "silent" (no answer), "cut" (half of the announced length), "cut quietly" (half,
    and no length announced), "other bytes", and "none" (answered as usual).
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.datasets: dict[int, Hosted] = {}
        self.tasks: dict[int, HostedTask] = {}
        self.suites: dict[str, list[int]] = {}
        self.faults: list[tuple[str, str]] = []
        self.asked: list[str] = []
        self.asked_at: list[float] = []
        self.closing = Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def api(self) -> str:
        """URL of the XML API."""
        return f"{self.url}/api/v1/xml"

    def start(self) -> Thread:
        """Serve from a thread of its own."""
        thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        return thread

    def fault(self, path: str) -> str:
        """The fault that this request suffers."""
        self.asked.append(path)
        self.asked_at.append(time.monotonic())
        for i, (part, _) in enumerate(self.faults):
            if part in path:
                return self.faults.pop(i)[1]
        return "none"

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        parts = path.partition("?")[0].removeprefix("/api/v1/xml").strip("/").split("/")
        number = int(parts[-1]) if parts[-1].isdecimal() else -1
        dataset, task = self.datasets.get(number), self.tasks.get(number)
        text = None
        if parts[0] == "study" and parts[1] in self.suites:
            text = self.suite(parts[1])
        elif parts[0] == "task" and task:
            text = task.document(self.url, number)
        elif parts[0] == "splits" and task and task.splits:
            text = task.splits
        elif parts[:2] == ["data", "features"] and dataset:
            text = dataset.features()
        elif parts[:2] == ["data", "qualities"] and dataset and dataset.n_rows is not None:
            text = (
                f"<oml:data_qualities {XMLNS}><oml:quality><oml:name>NumberOfInstances</oml:name>"
                f"<oml:value>{dataset.n_rows}</oml:value></oml:quality></oml:data_qualities>"
            )
        elif parts[0] == "data" and len(parts) == 2 and dataset:
            text = dataset.description(self.url, number)
        elif parts[0] == "download" and dataset:
            text = dataset.arff
        elif parts[0] == "datasets":
            return self.parquet(int(parts[1]))
        if text is None:
            what = "<oml:code>999</oml:code><oml:message>Unknown thing</oml:message>"
            return 412, f"<oml:error {XMLNS}>{what}</oml:error>".encode()
        return 200, text.encode()

    def suite(self, name: str) -> str:
        """The document ``study/NAME``."""
        tasks = "".join(f"<oml:task_id>{i}</oml:task_id>" for i in self.suites[name])
        return (
            f"<oml:study {XMLNS}><oml:id>99</oml:id><oml:alias>{name}</oml:alias>"
            f"<oml:main_entity_type>{'run' if name == 'runs' else 'task'}</oml:main_entity_type>"
            "<oml:name>Fruits</oml:name>"
            "<oml:description>All fruit.</oml:description><oml:status>active</oml:status>"
            "<oml:creation_date>2026-01-01</oml:creation_date><oml:creator>1</oml:creator>"
            + (f"<oml:tasks>{tasks}</oml:tasks>" if tasks else "")
            + "</oml:study>"
        )

    def parquet(self, data_id: int) -> tuple[int, bytes]:
        """File of a dataset in the bucket."""
        frame = self.datasets[data_id].parquet
        if frame is None or frame.empty:
            return 404, b"<Error><Code>NoSuchKey</Code><Message>Object does not exist</Message></Error>"
        buffer = io.BytesIO()
        frame.to_parquet(buffer, index=False)
        return 200, buffer.getvalue()


class Answers(BaseHTTPRequestHandler):
    """One request."""

    server: OpenMLServer

    def do_HEAD(self) -> None:
        """What the bucket says of a file before it sends it."""
        status, body = self.server.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.md5(body).hexdigest()}"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.end_headers()

    def do_GET(self) -> None:
        """Answer, or fail."""
        fault = self.server.fault(self.path)
        if fault == "hang up":
            self.close_connection = True
            return
        if fault == "silent":
            self.server.closing.wait(10)
            return
        status, body = self.server.answer(self.path)
        pages = {
            "500": (500, b"<html><p>Server error</html>"),
            "503": (503, b""),
            "page": (503, b"<html><p>busy</p></html>"),
            "busy": (412, BUSY.encode()),
            "412": (412, b"failed to perform action"),
        }
        status, body = pages.get(fault, (status, body))
        if fault == "other bytes":
            body = body.replace(b"apple", b"peach")
        zipped = "/datasets/" not in self.path
        body = gzip.compress(body) if zipped and fault != "cut quietly" else body
        self.send_response(status)
        if zipped and fault != "cut quietly":
            self.send_header("Content-Encoding", "gzip")
        if fault != "cut quietly":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if fault.startswith("cut") else body)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


HEAD = """@RELATION fruit
@ATTRIBUTE id NUMERIC
@ATTRIBUTE weight NUMERIC
@ATTRIBUTE colour {red,green}
@ATTRIBUTE class {apple,pear}
@ATTRIBUTE price NUMERIC
@DATA
"""
ROWS = [
    f"{i},{'?' if i % 5 == 0 else i / 2},{'red' if i % 2 else 'green'},{'apple' if i % 3 else 'pear'},{i * 1.5}"
    for i in range(12)
]
FRUIT = HEAD + "\n".join(ROWS) + "\n"
HALVES = [list(range(0, 12, 2)), list(range(1, 12, 2))]


def fruit_server() -> OpenMLServer:
    """A server with three small datasets, a task on each, and a suite of these."""
    server = OpenMLServer()
    server.datasets = {
        1: Hosted(FRUIT, row_id="id", n_rows=12),
        2: Hosted(FRUIT, ignored=("id", "weight")),
        3: Hosted(HEAD + "\n".join(row.replace("pear", "apple") for row in ROWS)),
    }
    server.tasks = {
        11: HostedTask(1, splits=splits_of(HALVES, 12)),
        12: HostedTask(2, "price", 2, splits=splits_of(HALVES, 12)),
        13: HostedTask(3, splits=splits_of(HALVES, 12)),
    }
    server.suites = {"fruits": [11, 12, 13], "99": [11, 12, 13], "empty": [], "runs": []}
    return server


def fetch(server: OpenMLServer, cache: Path, **what: Any) -> dict[str, str]:
    """Outcome of all that was asked for."""
    options = {"first_wait_seconds": 0.01, "pause_seconds": 0.0} | what
    return {str(f.wanted): f.outcome for f in prefetch(cache, server=server.api, **options)}
