"""The part of a model card that follows from a run: what the weights are, what they cost, how to repeat them, their scores.

`python -m eval.race.ship` writes it between two marks; whatever a person writes around them stays.
"""

from collections.abc import Mapping, Sequence
from typing import Any

BEGIN, END = "<!-- from the run: written by eval.race.ship -->", "<!-- end of what comes from the run -->"
_LIMITS = (
    "**Limits.** Not written yet: say here what the weights have not seen, and what they should not be used for.\n"
)


def card(
    name: str,
    config: Mapping[str, Any],
    origin: Mapping[str, Any],
    num_bytes: int,
    num_parameters: int,
    results: Sequence[Mapping[str, Any]],
) -> str:
    """Markdown between the marks."""
    parts = [
        BEGIN,
        f"**Network.** `{origin.get('family') or config['method']}`, {num_parameters / 1e6:.1f} M parameters, "
        f"half floats, {num_bytes / 1e6:.1f} MB. Stage `{origin['stage']}` after {origin['step']:,} steps, "
        f"{'EMA weights' if origin.get('is_average') else 'weights of the last step'}, commit {origin['commit']}.",
        _budget(origin["budget"]),
        _repeat(name, origin),
        _scores(results),
        END,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def merged(name: str, old: str | None, new: str) -> str:
    """A new card, or the old one with the part between the marks replaced. Without marks the part goes to the end."""
    if old is None:
        return f"# {name}\n\n{new}\n{_LIMITS}"
    before, found, rest = old.partition(BEGIN)
    if not found:
        return f"{old.rstrip()}\n\n{new}"
    return before + new.rstrip("\n") + rest.partition(END)[2]


def _budget(budget: Mapping[str, Any]) -> str:
    header = ["run", "steps", "samples seen", "data", "CPU seconds", "hours", "threads", "seed", "commit"]
    rows = [
        [
            run["run"],
            f"{run['steps']:,}",
            f"{run['samples_seen']:,}",
            f"{run['data']['size']:,} samples of `{run['data']['name']}`, sha256 {run['data']['sha256'][:12]}",
            "" if run["cpu_s"] is None else f"{run['cpu_s']:,.0f}",
            f"{run['wall_s'] / 3600:.1f}",
            str(run["num_threads"]),
            str(run["seed"]),
            run["commit"],
        ]
        for run in budget["runs"]
    ]
    cpu = "" if budget["cpu_s"] is None else f", {budget['cpu_s']:,.0f} CPU seconds"
    whole = f"**Budget.** {budget['samples_seen']:,} samples seen{cpu} of training steps on {', '.join(budget['hardware'])}."
    lines = [header, ["---"] * len(header), *rows]
    return whole + "\n\n" + "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _repeat(name: str, origin: Mapping[str, Any]) -> str:
    changes = origin.get("changed_after_training", [])
    run = f"runs/{origin['budget']['runs'][-1]['run']}"
    command = " ".join([f"python -m eval.race.ship {run} {name}", *(f"--set {change}" for change in changes)])
    changed = f" Changed after training: {', '.join(f'`{change}`' for change in changes)}." if changes else ""
    return f"**Repeat.** `panoptic3d train {run}/config.yaml`, then `{command}`.{changed}"


def _scores(results: Sequence[Mapping[str, Any]]) -> str:
    """Results of `panoptic3d evaluate --json`."""
    if not results:
        return ""
    header = ["protocol", "split", "PRQ [95 %]", "RSQ", "RRQ", "things", "stuff"]
    rows = []
    for result in results:
        low, high = result["interval"]["prq"]
        numbers = (result["rsq"], result["rrq"], result["things"]["prq"], result["stuff"]["prq"])
        split = f"{result['split']['name']}: {result['num_samples']} samples, sha256 {result['split']['sha256'][:12]}"
        prq = f"{100 * result['prq']:.2f} [{100 * low:.2f}, {100 * high:.2f}]"
        rows.append([result["protocol"], split, prq, *(f"{100 * number:.2f}" for number in numbers)])
    lines = [header, ["---"] * len(header), *rows]
    return "**Scores** (`panoptic3d evaluate`).\n\n" + "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
