"""Which functions of the package read files, and which targets reach them.

`found` looks for them in the source, so that a new reader cannot be forgotten: it must stand in
`REACHED` or, with a reason, in `LEFT_OUT`. The tests hold the three against each other, and run
every target on its valid documents to see that what stands here is really called.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import splitopt

ROOT = Path(splitopt.__file__).parent
_CALLS = {
    "read_text", "read_bytes", "parse_json", "parse_yaml", "fromfile", "load_file", "safe_open",
    "memmap", "read_csv", "read_table", "table_of", "read_rows", "read_archive", "Archive",
    "read_yaml", "read_json",
}  # fmt: skip
_OF = {
    ("np", "load"), ("json", "load"), ("json", "loads"), ("yaml", "load"), ("csv", "reader"),
    ("csv", "DictReader"), ("gzip", "open"), ("Image", "open"), ("zipfile", "ZipFile"),
    ("torch", "load"), ("archive", "open"), ("os", "open"),
}  # fmt: skip
_STREAMS = ("rb", "r", "r+b", "r+", "rt")

REACHED: dict[str, str] = {
    "documents.reading.read_text": "scenario",
    "documents.reading.read_bytes": "checkpoint",
    "documents.reading.opened": "instance (cut_and_resources)",
    "documents.archives.Archive.__init__": "instance (cut_and_resources)",
    "documents.archives.read_archive": "instance (cut_and_resources)",
    "documents.csv_tables.read_table": "trace of rounds",
    "documents.csv_tables.read_rows": "times CSV",
    "documents.csv_tables.rows_of": "times CSV",
    "documents.yaml_text.parse_yaml": "rounds to accuracy",
    "documents.yaml_text.read_yaml": "scenario",
    "documents.json_text.parse_json": "instance (cut_and_resources)",
    "documents.json_text.read_json": "instance (cut_and_resources)",
    "scenario.scenario.Scenario.load": "scenario",
    "problems.registry.load_problem": "instance (cut_and_resources)",
    "problems.registry._read_npz": "instance (cut_and_resources)",
    "problems.graph_partition.problem.GraphPartition.read": "workload",
    "plans.Plan.load": "plan (report)",
    "results.Result.load": "result",
    "profiles.table.profile.ModelProfile.load": "profile",
    "profiles.readers.reading.read_as_said": "PipeEdge models",
    "documents.sheets.sheet_rows": "workbook of times",
    "profiles.readers.splitrl.read_splitrl": "SplitRL blocks",
    "profiles.readers.pipeedge.read_pipeedge_model": "PipeEdge models",
    "profiles.readers.pipeedge.with_pipeedge_times": "PipeEdge times",
    "profiles.readers.layer_csv.read_layer_csv": "layer CSV",
    "profiles.readers.graph_file.read_graph": "graph",
    "profiles.readers.times.with_times": "times CSV",
    "profiles.readers.torch_trace.with_torch_trace": "torch trace",
    "profiles.fitting.machine_model.MachineModel.load": "machine model",
    "profiles.fitting.rounds_curve.RoundsCurve.load": "curve of rounds",
    "distributions.traces.read_column": "column of values",
    "distributions.traces.read_trace": "trace of rounds",
    "documents.column_files.open_columns": "fleet CSV",
    "documents.column_files.CsvColumns.of": "fleet CSV",
    "documents.column_files.CsvColumns._rows": "fleet CSV with quotes",
    "profiles.readers.split_table.read_splits": "split table",
    "profiles.readers.split_table.read_messages": "message table",
    "cli.bench_checks.compare_files": "bench rows",
    "solvers.typed._parsed": "options",
    "planning.comparison.comparing.load_rounds": "rounds to accuracy",
    "training.data.arrays.read_npz": "data npz",
    "training.data.arrays.read_example": "own data",
    "training.data.shards._read": "own data",
    "training.data.idx.read_idx": "data idx",
    "training.data.cifar._binary_batch": "data CIFAR binary",
    "training.data.cifar._strip": "data CIFAR PNG",
    "training.data.cifar._labels": "data CIFAR PNG",
    "training.data.partition_input.rows_of_file": "partition",
    "training.saving.checkpoint.load": "checkpoint",
    "training.saving.checkpoint.sources_of": "checkpoint",
    "training.history.History.load": "history",
    "training.wire.transport.tokens.read_token": "token",
    "training.wire.transport.frames.decode_header": "frame",
    "training.model_parts.weights_file.read_tensors": "weights",
    "privacy.leakage.table.LeakageTable.load": "leakage table",
    "generators.sealed.read_sealed": "generator",
    "generators.sealed._document": "generator",
    "iotsl.folder.read_run": "IoTSL run",
    "training.data.celeba._rows": "data CelebA",
    "training.data.celeba._face": "data CelebA",
    "export.merging._manifest": "exported parts",
    "export.importing.import_plan": "exported plan",
    "solvers.cut_under_uncertainty.answering.checkpoint.Checkpoint._begin": "SAA checkpoint",
    "solvers.cut_under_uncertainty.answering.checkpoint.Checkpoint.load": "SAA checkpoint",
    "timeline.Timeline.load": "timeline",
    "bench.rows.files.read_rows": "bench rows",
    "bench.instances.stored._read_metadata": "library",
    "bench.instances.best_known.read_best_known": "library",
    "cli.bench_checks.check_answer": "answer (cut_and_resources)",
    "planning.comparison.sweeping.read_sweep": "options",
}
"""Function, with its module inside of the package -> the target that reaches it."""

_OWN = "a file of the package itself"
_HOST = "what the operating system says"
_CHILD = "what a process that was started here wrote for its parent, or the other way round"
_TEXT = "no file: a text of the command line, or plain data that is copied"
_MESSAGE = "no file: rows of a message, whose frame is reached"
_WRITES = "opens what it writes, locks or removes"
_ALONE = "exported code, which runs where splitopt is not installed"
_LOCKED = "opens what it locks; what stands there is shown at most"
LEFT_OUT: dict[str, str] = {
    "profiles.published.dp_mora._document": _OWN,
    "profiles.published.cpsl._document": _OWN,
    "profiles.published.traced.traced_profile": _OWN,
    "profiles.published.measured.read_table": _OWN,
    "profiles.published.measured.read_times": _OWN,
    "profiles.published.pipedream.pipedream_profile": _OWN,
    "export.torch_parts._loader": _OWN,
    "cli.scenarios.command": _OWN,
    "scenario.starting.starting_scenario": "no file: the text that is written is read once before",
    "extras.data_frame": "no file: what to_csv gave, as a frame",
    "export.torch_pipelining.files": _OWN,
    "export.program_files.program_files": _OWN,
    "export.graph_parts.export_graph": _OWN,
    "export.graph_parts._parts": _OWN,
    "export.replicated_parts.files": _OWN,
    "export.rounds.round_files": _OWN,
    "export.openvino_parts._written": "what OpenVINO has just written",
    "export.folder._manifest": "of an earlier export; if it is damaged, nothing is removed",
    "export.folder._is_written": "any bytes, for their digest only",
    "export.exporting._complete": "no file: what a format of an installed package gives",
    "bench.running.machine._processor": _HOST,
    "bench.running.worker._peak_memory_mib": _HOST,
    "training.wire.transport.namespaces.inside": _HOST,
    "training.wire.transport.namespaces.enter": _HOST,
    "training.wire.transport.namespaces._born": _HOST,
    "bench.running.worker.main": _CHILD,
    "solvers.cut_and_resources.cp_sat.process.main": _CHILD,
    "solvers.cut_and_resources.cp_sat.solver._followed": _CHILD,
    "bench.running.supervisor._events": _CHILD,
    "bench.running.supervisor._tail": _CHILD,
    "training.wire.job.load_job": _CHILD,
    "iotsl.wire.job.ExchangeJob.load": _CHILD,
    "consensus.launch.run_process": _CHILD,
    "consensus.launch.run_parties": _CHILD,
    "training.wire.job.load_files": _CHILD,
    "training.wire.processes.Processes.last_words": _CHILD,
    "training.wire.fork_server.Request.decode": _CHILD,
    "training.wire.fork_server._take_streams": _CHILD,
    "training.wire.pipeline.answers.wrong_state": _MESSAGE,
    "training.wire.star.several.links.ServerLink.over": _MESSAGE,
    "training.wire.pipeline.coordinator.Pipeline._finish": _MESSAGE,
    "training.wire.star.server.Server.read_state": _MESSAGE,
    "training.wire.star.secure.aggregation.Aggregation.agree": _MESSAGE,
    "training.wire.star.secure.member.SumMember.agree": _MESSAGE,
    "training.wire.star.fed.main.BesideFed.agreed": _MESSAGE,
    "training.wire.transport.tls._expect": "PEM, for OpenSSL; making some needs an extra",
    "documents.column_files.ParquetColumns.open": "Parquet; making some needs an extra",
    "plugins._digest": "a user's own code, for its digest only",
    "privacy.leakage.store.Store.get": "its own results; a damaged one counts as absent",
    "profiles.tracing.pretrained.read_settings": "a folder, by readers that are reached",
    "training.data.text._content": "any bytes are text",
    "training.data.text._descriptions": "files of another package",
    "training.preparing.starting.beginning": "weights, for their digest only",
    "bench.running.runner.resume": "by read_rows, which is reached; then it would start solvers",
    "bench.running.jobs._Ready.of": _TEXT,
    "training.saving.checkpoint.expect_same_run": _TEXT,
    "bench.entrants.entrant._option": _TEXT,
    "bench.entrants.entrant.Entrant.version": "a user's own code, for its digest only",
    "bench.rows.files.cut_torn_line": "drops the end of a file of rows, whatever it holds",
    "bench.rows.files.append_row": _WRITES,
    "report.templating.asset": "a file of the package",
    "cli.printing.discard": _WRITES,
    "storage.locks.Lock._take": _WRITES,
    "storage.outputs._open_stream": _WRITES,
    "storage.temporary._remove_if_nobodys": _WRITES,
    "storage.temporary.sync_folder": _WRITES,
    "storage.temporary.temporary_folder": _WRITES,
    "export.written.loader.manifest": _ALONE,
    "export.written.run.manifest": _ALONE,
    "export.written.plan_task.spec": _ALONE,
    "export.written.plan_task.Data.__init__": _ALONE,
    "export.written.loader.read_weights": _ALONE,
    "export.written.train_pipeline.main": _ALONE,
    "export.written.train_graph.manifest": _ALONE,
    "export.written.train_replicas.main": _ALONE,
    "export.written.flower_socket.Line.receive": _ALONE,
}
"""Function -> why nothing is spoiled for it."""


def found() -> Iterator[str]:
    """Iterate over the functions of the package that read, with their modules."""
    for path in sorted(ROOT.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for name, function in _functions(tree):
            if any(_reads(node) for node in ast.walk(function)):
                yield f"{module.removesuffix('.__init__')}.{name}"


def _functions(
    tree: ast.AST, prefix: str = ""
) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Iterate over functions and methods; one inside of another belongs to that."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}{node.name}", node
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")
        else:
            yield from _functions(node, prefix)


def _reads(node: ast.AST) -> bool:
    """Report whether a call reads a file, or a document that was one."""
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Name):
        return called.id in _CALLS or (called.id == "open" and _is_read(node.args[1:]))
    if not isinstance(called, ast.Attribute):
        return False
    if called.attr in _CALLS:
        return True
    if isinstance(called.value, ast.Name) and (called.value.id, called.attr) in _OF:
        return True
    return called.attr == "open" and _is_read(node.args)


def _is_read(modes: list[ast.expr]) -> bool:
    """Report whether the mode of a stream is one for reading."""
    return bool(modes) and isinstance(modes[0], ast.Constant) and modes[0].value in _STREAMS
