"""What the names of columns say in the files of trackers and libraries: words, in lower case."""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


WORDS = re.compile(r"[A-Z]?[a-z]+\d?|[A-Z]+(?![a-z])\d?")
"""The words of a name such as ``mean_test_score`` or ``valLoss``."""
TUNED = re.compile(r"(params?_|config[/.]|hparams?[/_.]|hyperparameters?[/_.]|hp[/_.])(?=.)")
"""With what the names of tuned values begin in Optuna, scikit-learn, Ray Tune and W&B."""
RESULTS = re.compile(r"^(user_attrs_|summary/|metrics[/.])")
"""With what names of results begin there."""
TASK = _words("task dataset problem instance")
FIDELITY = _words(
    "epoch epochs step steps iter iters iteration iterations budget fidelity resource resources"
)
RUNTIME = _words("duration runtime seconds secs elapsed time walltime")
HARDWARE = _words("machine gpu gpus cpu cpus hardware device accelerator instance")
SHARES = _words("accuracy acc auc auroc f1 score map miou iou precision recall top1 top5")
"""Of results that are the better the larger, and a share of something."""
MOST = SHARES | _words("r2 bleu reward return throughput psnr ssim fps gain profit kappa mcc")
LEAST = _words(
    "loss logloss error err rmse mse mae cost costs price usd latency perplexity ppl energy power flops macs "
    "memory wer cer nll regret fid dollar dollars eur joule joules kwh watt"
)
SETTING = _words(
    "batch lr learning rate layer layers units hidden width depth dropout momentum optimizer kernel degree "
    "gamma decay weight alpha beta lambda eta max min num"
)
"""Of what is tuned, whatever else their names say: ``batch_size``, ``max_memory``."""
INFERENCE = _words("score predict prediction inference test eval")
"""Of times that are no training's."""
FAILURES = _words("nan inf -inf f fail failed failure crash crashed error timeout oom diverged -")
"""Cells of results that failed."""
RESULT = _words("value values objective metric target result")
"""Of results whose sense the name does not tell."""
BESIDE = _words(
    "number trial id run name index seed state status created date datetime timestamp hostname node pid user "
    "notes tags experiment done rank std sweep logdir checkpoint wandb restore split uuid unnamed this since "
    "attempt timesteps params"
) | {f"split{fold}" for fold in range(10)}
"""Of what describes the run itself."""
UNIT_WORDS = {
    **dict.fromkeys(("usd", "dollars"), "USD"),
    **dict.fromkeys(("s", "secs", "seconds"), "s"),
    **dict.fromkeys(("joule", "joules"), "J"),
    "ms": "ms",
    "minutes": "min",
    "hours": "h",
    "kwh": "kWh",
    "watt": "W",
    "eur": "EUR",
    "flops": "FLOP",
    "mb": "MB",
    "gb": "GB",
    "percent": "%",
}
