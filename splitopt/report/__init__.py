"""Plans for people: tables in the terminal and self-contained HTML pages."""

from splitopt.report.page import plan_to_html as plan_to_html
from splitopt.report.terminal import plan_to_terminal as plan_to_terminal
