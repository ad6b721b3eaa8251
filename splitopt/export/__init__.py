"""Plans as what other software reads.

A format is one module of this package with ``files(job)``, which gives the files of a folder by
name, and one entry in `EXPORTERS`, or an entry point of another package.
"""

from splitopt.export.exporting import export_plan as export_plan
from splitopt.export.importing import import_plan as import_plan
from splitopt.export.merging import merge_parts as merge_parts
from splitopt.export.registry import EXPORTERS as EXPORTERS
