"""``python docs/notebooks/execute.py [NAME.ipynb ...]``: run the notebooks and keep their outputs.

Each runs in a process and an empty folder of its own, cell by cell, as Jupyter does: what a cell
prints, the value of its last line, and the figures that it draws are its outputs. Nothing of the
machine is kept: a notebook that has a path of it in an output is refused, and a cell that raises
ends the command. Jupyter itself is not needed, and runs the same files.
"""

from __future__ import annotations

import argparse
import ast
import base64
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))


def main() -> int:
    """Return 0 when all notebooks are written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, default=NOTEBOOKS)
    for path in parser.parse_args().notebooks:
        path.write_text(written(executed(path)), encoding="utf-8")
        print(f"executed {path.name}")
    return 0


def written(notebook: dict[str, Any]) -> str:
    """Return a notebook as the text of its file."""
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def executed(path: Path) -> dict[str, Any]:
    """Run a notebook in a process of its own; return it with its outputs."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), "--cells"],
            input=path.read_text(encoding="utf-8"),
            capture_output=True,
            cwd=folder,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        )
        if done.returncode:
            raise SystemExit(f"{path.name}: {done.stderr}")
        for part in (folder, str(Path.home()), str(Path.cwd()), sys.prefix):
            if len(part) > 1 and part in done.stdout:
                raise SystemExit(f"{path.name}: has the path {part} in its outputs")
    return json.loads(done.stdout)


def run_cells(notebook: dict[str, Any]) -> None:
    """Run the cells of a notebook here, one after the other, and set their outputs."""
    import matplotlib as mpl

    mpl.use("Agg")
    space: dict[str, Any] = {"__name__": "__main__"}
    count = 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            count += 1
            cell["execution_count"] = count
            cell["outputs"] = list(_outputs("".join(cell["source"]), count, space))


def _outputs(source: str, count: int, space: dict[str, Any]) -> Any:
    tree = ast.parse(source, f"cell {count}")
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    value, said = None, io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(tree, f"cell {count}", "exec"), space)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"cell {count}", "eval"), space)
    if text := said.getvalue():
        yield {"name": "stdout", "output_type": "stream", "text": text.splitlines(keepends=True)}
    for picture in _pictures():
        yield {"data": picture, "metadata": {}, "output_type": "display_data"}
    if value is not None and not source.rstrip().endswith(";"):
        data = {"text/plain": repr(value).splitlines(keepends=True)}
        if (table := getattr(value, "_repr_html_", None)) is not None:
            data["text/html"] = table().splitlines(keepends=True)
        yield {
            "data": data,
            "execution_count": count,
            "metadata": {},
            "output_type": "execute_result",
        }


def _pictures() -> Any:
    """Return the open figures as PNG, and close them."""
    from matplotlib import pyplot

    for number in pyplot.get_fignums():
        figure, buffer = pyplot.figure(number), io.BytesIO()
        look = {"bbox_inches": "tight", "facecolor": "white", "dpi": 80}
        figure.savefig(buffer, format="png", metadata={"Software": None}, **look)
        about = "; ".join(_about(axes) for axes in figure.axes)
        yield {
            "image/png": base64.b64encode(buffer.getvalue()).decode(),
            "text/plain": [f"Figure: {about}"],
        }
    pyplot.close("all")


def _about(axes: Any) -> str:
    """Return a picture in words: its title and its axes."""
    words = [axes.get_title(loc="left") or axes.get_title(), axes.get_ylabel(), axes.get_xlabel()]
    return ", ".join(word for word in words if word)


if __name__ == "__main__":
    if sys.argv[1:] == ["--cells"]:
        given = json.load(sys.stdin)
        run_cells(given)
        json.dump(given, sys.stdout)
        sys.exit(0)
    sys.exit(main())
