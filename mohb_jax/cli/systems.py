"""The systems around the tuner as ``mohb list systems`` shows them: by group, ways with a line each."""

from typing import Any

ENSEMBLE = {
    "best": "the model of lowest validation loss",
    "singles": "the front of single models",
    "top-k": "the k best models with equal weights, k up to 50",
    "caruana": "greedy selection with repetitions, by loss alone (Caruana et al. 2004)",
    "gradient": "the same to first order: by the gradient of the loss",
    "smobf": "greedy selection within budgets, by loss and by loss for the cost",
    "nsga2": "NSGA-II on sets of models, by loss and cost",
}
PLACEMENT = {
    "worst-fit": "each model to the device with the most free memory",
    "best batches": "worst-fit with the best batch sizes for it",
    "greedy": "one batch size is changed at a time while throughput rises; bounded: of 100 changes",
    "spread": "every model on every device",
}
RECURRING = {
    "zeus": "Thompson sampling of batch sizes, power limits by measuring (You et al. 2023)",
    "default": "the publication's batch size at the highest power limit",
    "power limit only": "the default batch size at its cheapest limit",
    "grid search": "every pair once, then the cheapest; what misses the target is dropped",
    "oracle": "the cheapest pair in expectation",
}
CLUSTER = {
    "fair": "each job has processors and memory in proportion to its GPUs",
    "greedy": "each job has what it asks for where that is free, or waits",
    "tune": "each job has what it asks for; what does not fit is cut to the fair share (Synergy)",
}

_STUDY = "a finished study on embedded: mohb ensemble DIR --selection {}"
_GROUPS = (
    ("ensemble", ENSEMBLE, _STUDY),
    (
        "placement",
        PLACEMENT,
        "members and devices: mohb ensemble DIR --device 16, mohb reproduce pochelu2022",
    ),
    ("recurring", RECURRING, "the traces of zeus: mohb reproduce you2023"),
    ("cluster", CLUSTER, "jobs with profiles: mohb reproduce mohan2022"),
)


def systems() -> list[dict[str, Any]]:
    """Name, summary and needs of each way."""
    return [
        {"name": f"{group}: {name}", "summary": summary, "needs": needs.format(name)}
        for group, ways, needs in _GROUPS
        for name, summary in ways.items()
    ]
