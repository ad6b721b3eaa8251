"""The conformance suite of plug-ins: what every scheme, task, optimizer and codec must do.

``splitopt plugins KIND --check NAME`` runs it on any of them, the tests run it on all of
splitopt's own. Every check ends in one sentence.
"""

from splitopt.training.conformance.findings import Check as Check
from splitopt.training.conformance.suites import assert_conforms as assert_conforms
from splitopt.training.conformance.suites import check_names as check_names
from splitopt.training.conformance.suites import check_plugin as check_plugin
from splitopt.training.conformance.suites import iterate_checks as iterate_checks
from splitopt.training.conformance.suites import run_check as run_check
