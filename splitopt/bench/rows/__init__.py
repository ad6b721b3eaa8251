"""Rows, one per run of the benchmark, and the files that hold them."""

from splitopt.bench.rows.files import append_row as append_row
from splitopt.bench.rows.files import cut_torn_line as cut_torn_line
from splitopt.bench.rows.files import read_rows as read_rows
from splitopt.bench.rows.files import write_rows as write_rows
from splitopt.bench.rows.row import MEASURED as MEASURED
from splitopt.bench.rows.row import Row as Row
from splitopt.bench.rows.row import Status as Status
from splitopt.bench.rows.row import run_key as run_key
