"""Plans as what other software reads.

A format is one module of this package with ``files(job)``, which gives the files of a folder by
name, and one line in `EXPORTERS`.
"""

from splitopt.export.exporting import EXPORTERS as EXPORTERS
from splitopt.export.exporting import export_plan as export_plan
