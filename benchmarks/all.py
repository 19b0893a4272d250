"""Run every benchmark of this folder, one after the other, and keep what they print (`make bench`).

    python benchmarks/all.py [NAME]...

Each line of JSON goes to the terminal and to benchmarks/results/figures.jsonl, which is not committed: a
figure belongs to the machine it was measured on. At the end a table says which of them meet their targets
(benchmarks/targets.py). Exit status 1 if a benchmark failed.
"""

import subprocess
import sys
from pathlib import Path

from targets import table

HERE = Path(__file__).parent


def is_benchmark(path: Path) -> bool:
    """Tell a benchmark from a module that benchmarks share."""
    return path.stem not in {"all", "targets"} and '__name__ == "__main__"' in path.read_text(
        encoding="utf-8"
    )


def main(chosen: list[str]) -> int:
    """Run the chosen benchmarks, or all of them."""
    names = chosen or sorted(path.stem for path in HERE.glob("*.py") if is_benchmark(path))
    results = HERE / "results" / "figures.jsonl"
    results.parent.mkdir(exist_ok=True)
    failed = 0
    with results.open("w", encoding="utf-8") as file:
        for name in names:
            done = subprocess.run(
                [sys.executable, HERE / f"{name}.py"], stdout=subprocess.PIPE, text=True, check=False
            )
            print(done.stdout, end="", flush=True)
            file.writelines(line + "\n" for line in done.stdout.splitlines() if line.startswith("{"))
            failed += done.returncode != 0
    print("\n" + "\n".join(table(results.read_text(encoding="utf-8").splitlines())))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
