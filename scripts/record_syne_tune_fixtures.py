"""Writes the black boxes that tests/test_syne_tune.py reads, with Syne Tune's own serialisers.

    python scripts/record_syne_tune_fixtures.py           # writes tests/data/syne_tune anew
    python scripts/record_syne_tune_fixtures.py FOLDER    # prints what Syne Tune reads in a folder, as JSON:
                                                          # for a written black box, tests' reading.json

It runs under any Python that has syne-tune 0.16.0 and fastparquet, which that release needs for its tables;
this project need not be there. Beside the black boxes stands ``values.json``: what they were made of, as
plain JSON in which null is a missing number.
"""

import hashlib
import importlib
import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "data" / "syne_tune"
FIDELITIES = [1, 3, 9]
SEEDS = 2
TASKS = ["digits", "wine"]
OBJECTIVES = ["metric_error", "metric_accuracy", "metric_elapsed_time"]
METADATA = {
    "metric_elapsed_time": "metric_elapsed_time",
    "metric_default": "metric_error",
    "time_attr": "epochs",
}
CONFIGS = [
    {
        "rate": 10.0 ** -(1 + row % 4),
        "momentum": 0.1 * row,
        "units": 2 ** (4 + row % 3),
        "optimiser": ["sgd", "adam", "ä, b"][row % 3],
        "layers": [1, 2, 4][row % 3],
        "dropout": [0.0, 0.3, 0.6][row // 3],
        "nesterov": row % 2 == 0,
        "machine": "one",
    }
    for row in range(7)
]


def peer(name: str) -> Any:
    """A module of Syne Tune, which nothing else here imports."""
    return importlib.import_module(f"syne_tune.{name}")


def space() -> dict[str, Any]:
    """One domain of each kind; ``machine`` is a constant."""
    domains = peer("config_space")
    return {
        "rate": domains.loguniform(1e-5, 1.0),
        "momentum": domains.uniform(0.0, 0.99),
        "units": domains.lograndint(16, 64),
        "optimiser": domains.choice(["sgd", "adam", "ä, b"]),
        "layers": domains.ordinal([1, 2, 4]),
        "dropout": domains.finrange(0.0, 0.6, 3),
        "nesterov": domains.choice([True, False]),
        "machine": "one",
    }


def evaluations() -> np.ndarray:
    """[tasks, configs, seeds, fidelities, objectives] in single precision, with ties and missing cells."""
    shape = (len(TASKS), len(CONFIGS), SEEDS, len(FIDELITIES))
    generator = np.random.default_rng(0)
    error = generator.integers(1, 6, shape) / 10  # few values: ties
    error[:, 1] = error[:, 0]
    seconds = np.cumsum(generator.uniform(1, 2, shape), axis=-1)
    values = np.stack([error, 1 - error, seconds], axis=-1).astype(np.float32)
    values[0, 2, 0, 2] = np.nan  # one seed of two is missing
    values[0, 3, :, 2] = np.nan  # a training that failed late
    values[1, 4] = np.nan  # never tried on this task
    values[1, 5, :, 0, 0] = np.nan  # one objective only; its time is known
    return values


def write_tabular(values: np.ndarray) -> None:
    """The layout of a dense black box: one array for all tasks."""
    pd = importlib.import_module("pandas")
    module = peer("blackbox_repository.blackbox_tabular")
    epochs = {"epochs": peer("config_space").randint(1, FIDELITIES[-1])}
    boxes = {
        task: module.BlackboxTabular(
            pd.DataFrame(CONFIGS), space(), epochs, part, np.array(FIDELITIES), OBJECTIVES
        )
        for task, part in zip(TASKS, values, strict=True)
    }
    module.serialize(boxes, FOLDER / "tabular", METADATA)


def records(values: np.ndarray, task: int) -> list[dict[str, Any]]:
    """One row per evaluation of a task that is known in part at least."""
    return [
        {**config, "epochs": epochs, "seed": seed, **dict(zip(OBJECTIVES, cell.tolist(), strict=True))}
        for config, runs in zip(CONFIGS, values[task], strict=True)
        for seed, curve in enumerate(runs)
        for epochs, cell in zip(FIDELITIES, curve, strict=True)
        if not np.isnan(cell).all()
    ]


def write_offline(values: np.ndarray) -> None:
    """The layout of a sparse black box: a long table per task."""
    pd = importlib.import_module("pandas")
    module = peer("blackbox_repository.blackbox_offline")
    epochs = {"epochs": peer("config_space").randint(1, FIDELITIES[-1])}
    boxes = {}
    for index, task in enumerate(TASKS):
        frame = pd.DataFrame(records(values, index)[::-1])  # rows may come in any order
        boxes[task] = module.BlackboxOffline(frame, space(), epochs, OBJECTIVES, "seed")
    module.serialize(boxes, FOLDER / "offline")


def plain(values: np.ndarray) -> Any:
    """Nested lists in which null stands for NaN."""
    if values.ndim:
        return [plain(part) for part in values]
    return None if math.isnan(values) else float(values)


def read(folder: Path) -> dict[str, Any]:
    """What Syne Tune makes of a dense black box."""
    boxes = peer("blackbox_repository.blackbox_tabular").deserialize(folder)
    first = next(iter(boxes.values()))
    return {
        "tasks": list(boxes),
        "space": {name: repr(domain) for name, domain in first.configuration_space.items()},
        "fidelity_space": {name: repr(domain) for name, domain in first.fidelity_space.items()},
        "fidelities": first.fidelity_values.tolist(),
        "objectives": first.objectives_names,
        "configs": first.hyperparameters.to_dict("records"),
        "evaluations": plain(np.stack([box.objectives_evaluations for box in boxes.values()])),
        "looked_up": [looked_up(box) for box in boxes.values()],
        "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in plain_files(folder)},
    }


def plain_files(folder: Path) -> list[Path]:
    """All but Parquet, which names in its bytes the program that wrote it."""
    return sorted(path for path in folder.iterdir() if path.suffix != ".parquet")


def looked_up(box: Any) -> Any:
    """Every configuration asked for by its values, which fails where a value has another type."""
    found = [box.objective_function(config, seed=0) for config in box.all_configurations()]
    return plain(np.stack(found))


def main() -> None:
    """Records the fixtures, or reads a folder."""
    if sys.argv[1:]:
        print(json.dumps(read(Path(sys.argv[1])), ensure_ascii=False))
        return
    for layout in ("tabular", "offline"):
        shutil.rmtree(FOLDER / layout, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    values = evaluations()
    write_tabular(values)
    write_offline(values)
    known = {"tasks": TASKS, "fidelities": FIDELITIES, "objectives": OBJECTIVES, "configs": CONFIGS}
    text = json.dumps({**known, "evaluations": plain(values)}, ensure_ascii=False)
    (FOLDER / "values.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
