"""The tutorial's commands are read off its page, run in their order, and timed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.tutorial.__main__ import ROOT, Step, main, steps_of, timed

PAGE = """# A page

```yaml
# file: a.yaml
a: 1
```

```yaml
b: not a file
```

```console
$ python -c 'print(open("a.yaml").read())'
a: 1
$ python -V   # which one
...
```

```python
from pathlib import Path
Path("made.txt").write_text("here")
```
"""


def test_files_are_written_and_commands_run_in_their_order(tmp_path, capsys):
    """A file that is named, two commands of a console, and a snippet; each with its seconds."""
    steps = steps_of(PAGE, tmp_path, Path(sys.executable).parent)
    rows = [timed(step, dict(os.environ)) for step in steps]
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["a.yaml", "made.txt"]
    assert [row["command"] for row in rows] == [
        """`python -c 'print(open("a.yaml").read())'`""",
        "`python -V   # which one`",
        'Python, `Path("made.txt").write_text("here")`',
    ]
    assert all(row["seconds"] > 0 and row["cpu_s"] >= 0 for row in rows)
    assert capsys.readouterr().out.count(" s ") >= 3


def test_a_command_that_fails_ends_it_with_what_it_said(tmp_path):
    """Its title and the end of its output."""
    step = Step([sys.executable, "-c", "raise SystemExit('no such fleet')"], "`plan`", tmp_path)
    with pytest.raises(SystemExit, match="`plan` failed:\nno such fleet"):
        timed(step, dict(os.environ))


def test_the_table_has_a_row_for_each_and_the_sum(tmp_path):
    """As CSV and Markdown, with the machine."""
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert main(["--page", str(page), "-o", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "seconds.md").read_text()
    assert "Made by `python -m benchmarks.tutorial`." in text
    assert text.count("\n| ") == 6  # head, rule, three commands and their sum
    assert "\n| all | " in text


def test_the_tutorial_plans_trains_and_exports(tmp_path):
    """What its page says to do is what is timed."""
    text = (ROOT / "docs" / "quick-start.md").read_text()
    titles = [step.title for step in steps_of(text, tmp_path, tmp_path)]
    for verb in ("plan fleet.yaml", "compare", "plan chain.yaml", "train", "export"):
        assert any(f"`splitopt {verb}" in title for title in titles), verb
    assert {"fleet.yaml", "chain.yaml"} <= {path.name for path in tmp_path.iterdir()}
