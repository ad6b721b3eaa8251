"""Reports on result rows: in the terminal, as a page, and one file against another."""

from splitopt.bench.reporting.comparison import compare as compare
from splitopt.bench.reporting.page import rows_to_html as rows_to_html
from splitopt.bench.reporting.terminal import print_report as print_report
