"""Options of ``mohb run``, and the study that a file and options make together."""

from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from mohb_jax.errors import InputError
from mohb_jax.yaml_text import read_yaml

StudyFile = Annotated[
    Path | None, typer.Argument(metavar="[STUDY.yaml]", help="Study file; the embedded study if none.")
]
Benchmarks = Annotated[
    list[str] | None,
    typer.Option("--benchmark", help="Benchmark or .npz table; repeatable.", show_default=False),
]
Methods = Annotated[
    list[str] | None, typer.Option("--method", help="Method; repeatable.", show_default=False)
]
Tasks = Annotated[
    list[str] | None, typer.Option("--task", help="Task of the benchmark; repeatable; default: all.")
]
Objectives = Annotated[
    list[str] | None,
    typer.Option("--objective", help="Objective; repeatable, the first is the one of hb; default: all."),
]
Seeds = Annotated[int | None, typer.Option(help="Tuning runs per method and task.")]
Seed = Annotated[int | None, typer.Option(help="Root seed.")]
Evaluations = Annotated[int | None, typer.Option(help="Budget of evaluations per run.")]
Seconds = Annotated[
    float | None,
    typer.Option(
        help="Horizon in simulated seconds; without any budget, the time of 50 average full trainings "
        "shared by the workers."
    ),
]
Workers = Annotated[int | None, typer.Option(help="Simulated workers.")]
Eta = Annotated[float | None, typer.Option(help="Reduction factor of Hyperband.")]
OtherSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other setting, such as mode=barrier; repeatable."),
]
Engine = Annotated[
    str | None, typer.Option(help="Where to run: local (this process, all its devices) or ray.")
]
Address = Annotated[
    str | None, typer.Option(help="Ray cluster, such as auto; default: one started on this machine.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print units, runs, memory and a guess of the time; run nothing.")
]
Report = Annotated[
    bool, typer.Option("--report", help="Write the page, as mohb report does, when all is done.")
]
Credits = Annotated[
    list[str] | None,
    typer.Option(
        "--credit",
        metavar="CREDIT",
        help="What counts as a result: full, logged or passed; repeatable; default: full and passed.",
        show_default=False,
    ),
]
Out = Annotated[Path | None, typer.Option(help="Study folder; default: runs/NAME of the study.")]
NoPlugins = Annotated[
    bool, typer.Option("--no-plugins", help="Refuse a study that runs code from outside the package.")
]


def given(**options: Any) -> dict[str, Any]:
    """The options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def settings_of(workers: int | None, eta: float | None, others: list[str] | None) -> dict[str, Any]:
    """Settings by name, from the options that name them and from ``--set``."""
    return given(workers=workers, eta=eta) | dict(_setting(text) for text in others or [])


def _setting(text: str) -> tuple[str, Any]:
    """Name and value of ``NAME=VALUE``; the value is read as in a study file."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--set {text!r}: accepted is NAME=VALUE, such as mode=barrier")
    try:
        return name.strip(), read_yaml(value)
    except (yaml.YAMLError, ValueError):  # the latter for a date that does not exist
        raise InputError(f"--set {text!r}: its value is not YAML, such as 3, barrier or [1, 2]") from None


def study_of(
    study_file: Path | None,
    said: dict[str, Any],
    settings: dict[str, Any],
    parts: dict[str, Any],
    engine: dict[str, Any],
) -> Any:
    """The study of a file, the embedded one, or one made of options alone; options go before the file."""
    from mohb_jax import study as studies

    content: dict[str, Any] = {}
    if study_file is not None or not ({"benchmarks", "methods"} & said.keys()):
        content = studies.load_study(study_file or studies.EMBEDDED).model_dump()
    elif "methods" not in said or "benchmarks" not in said:
        defaults = studies.load_study(studies.EMBEDDED).model_dump()
        content = {name: defaults[name] for name in ("benchmarks", "methods")}
    content |= said
    if study_file is None and "benchmarks" in said:
        stems = [Path(entry["name"]).stem.replace(":", "-") for entry in said["benchmarks"]]
        content["name"] = "-".join(stems)
    if "methods" in said and content.get("reference") not in said["methods"]:
        content["reference"] = None
    content["settings"] = content.get("settings", {}) | settings
    content["engine"] = content.get("engine", {}) | engine
    content["benchmarks"] = [entry | parts for entry in content["benchmarks"]]
    return studies.make_study(content, "options", folder=study_file.parent if study_file else None)
