"""Run notebooks as a reader does, in the present folder: `python .ci/notebooks.py 13_ddpm.ipynb`.

On Colab's image the first cell installs the course. Exercises are run as they are, unsolved; cells
flagged gpu or slow are left out. Exits 1 if a notebook fails."""

import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

COLAB = "try: import google.colab # as Colab's own kernels do\nexcept ImportError: pass"


def run(path):
    "Run a notebook from top to bottom; None, or what its first error says."
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source.startswith(("#| gpu", "#| slow")):
            cell.source = ""
    notebook.cells.insert(0, nbformat.v4.new_code_cell(COLAB))
    resources = {"metadata": {"path": str(Path.cwd())}}
    client = NotebookClient(notebook, timeout=1800, kernel_name="python3", resources=resources)
    client.create_kernel_manager().kernel_spec.argv[0] = sys.executable # no other Python's kernel
    try:
        client.execute()
    except CellExecutionError as error:
        return str(error)


def main(paths):
    "Run them all, a line each."
    failed = 0
    for path in map(Path, paths):
        began = time.perf_counter()
        error = run(path)
        failed += error is not None
        print(f"{path.stem}: {error or 'ok'}, {time.perf_counter() - began:.0f} s", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
