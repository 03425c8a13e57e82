"""One training for every idea, without it, on a small and equal budget; then one race among them.

    python -m eval.race.ablations --data ROOT --test ROOT --out DIR [--scale 0.1] [--num 100] [--only no-planes ...]
                                  [--again SEED] [--maps RUN [--own-maps no-imagenet=RUN]]

`configs/clearview/ablations/NAME.yaml` takes one idea out of tiny.yaml and says in its first line which. `--scale` shortens
every stage, warm-up and curriculum alike. What is trained stays trained: the same command goes on after an interruption.
With `--maps`, a run of the first stage, everybody starts from what it has learnt in 2D, with all ideas, and trains what comes
next without one. An ablation about how maps come to be needs a run of its own, of as many samples: `--own-maps`.
With `--again` the whole is trained with another seed as well: an interval over scenes knows nothing of chance in training.
OUT/ablations.json is what `table.py --ablations` reads.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import save

from eval.race.budget import budget_of, checkpoint_of, run_of
from eval.race.entrants import Entrant, RaceConfig
from eval.race.race import run as run_race
from eval.race.table import ablation_table
from panoptic3d.config import dump_yaml
from panoptic3d.engine.methods.clearview.config import ClearviewTrainingConfig
from panoptic3d.engine.methods.table import load_training_config
from panoptic3d.engine.training.checkpoint import CONFIG, ORIGIN, WEIGHTS, read_weights
from panoptic3d.engine.training.config import ScheduleConfig, StageConfig, TrainingConfig
from panoptic3d.engine.training.signals import EXIT_TO_BE_RESTARTED
from panoptic3d.errors import InputError, Panoptic3dError
from panoptic3d.files import write_bytes_atomically, write_text_atomically
from panoptic3d.models.clearview.build import build_clearview

CONFIGS = Path(__file__).resolve().parents[2] / "configs" / "clearview"
WHOLE, AGAIN = "all-ideas", "all-ideas-again"
_STEPS_OF_SETTINGS = ("true_depth_steps", "steps_64")
_BEHIND_MAPS = (
    "settings.network.voxel_net",
    "settings.network.lift",
    "settings.network.rays.has_layout",
    "settings.network.rays.has_planes",
    "settings.weights.shell",
    "settings.true_depth",
    "loader.augment",
)
_VOLUME = "voxel_net."  # of the network's weights


def known_ablations() -> dict[str, Path]:
    return {path.stem: path for path in sorted((CONFIGS / "ablations").glob("*.yaml"))}


def idea_of(path: Path) -> str:
    """The first line of an ablation's config names what it takes out."""
    return path.read_text().splitlines()[0].removeprefix("# ").removesuffix(".")


def scaled(config: TrainingConfig, scale: float) -> TrainingConfig:
    """The same run in fewer steps: stages, warm-ups and curricula shrink alike."""

    def count(steps: int) -> int:
        return max(1, round(steps * scale))

    def schedule(whole: ScheduleConfig | None) -> ScheduleConfig | None:
        return whole and whole.model_copy(
            update={
                "warmup_steps": round(whole.warmup_steps * scale),
                "milestones": tuple(count(step) for step in whole.milestones),
            }
        )

    def stage(whole: StageConfig) -> StageConfig:
        return whole.model_copy(update={"steps": count(whole.steps), "schedule": schedule(whole.schedule)})

    curriculum = {name: count(getattr(config.settings, name)) for name in _STEPS_OF_SETTINGS}
    return config.model_copy(
        update={
            "stages": tuple(stage(whole) for whole in config.stages),
            "schedule": schedule(config.schedule),
            "settings": config.settings.model_copy(update=curriculum),
        }
    )


def can_share_maps(path: Path) -> bool:
    """Whether an ablation is tiny.yaml to the last number but for what can be taken out behind the first stage."""

    def rest(config: Path) -> dict[str, Any]:
        whole = load_training_config(config, ["--folder=x"]).model_dump()
        for name in _BEHIND_MAPS:
            *parents, last = name.split(".")
            part = whole
            for parent in parents:
                part = part[parent]
            del part[last]
        return whole

    return rest(path) == rest(CONFIGS / "tiny.yaml")


def behind(maps: str, config: TrainingConfig) -> TrainingConfig:
    """What follows the first stage. The trunk's norms have learnt by now, or came trained: they stay, for everybody."""
    settings = config.settings.model_copy(update={"keeps_norms": True})
    return config.model_copy(update={"stages": config.stages[1:], "start_from": maps, "settings": settings})


def write_maps(run: Path, config: TrainingConfig, folder: Path) -> None:
    """What a run has learnt in 2D, as far as the config's network has it, and what that has cost."""
    assert isinstance(config.settings, ClearviewTrainingConfig)
    source, budget = checkpoint_of(run), budget_of_maps(run)
    origin = json.dumps({"maps_of": str(source), "budget": budget}) + "\n"
    if (folder / ORIGIN).exists():
        if (folder / ORIGIN).read_text() != origin:
            raise InputError(f"{folder} was taken from another run; give the same maps, or another --out.")
        return
    learnt = read_weights(source)
    wanted = [k for k in build_clearview(config.settings.network).state_dict() if not k.startswith(_VOLUME)]
    missing = [k for k in wanted if k not in learnt]
    if missing:
        raise InputError(f"{run} lacks {len(missing)} weights, such as {missing[0]}; give a run of tiny.yaml as maps.")
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(folder / WEIGHTS, save({k: learnt[k] for k in wanted}))
    write_text_atomically(folder / CONFIG, (source / CONFIG).read_text())
    write_text_atomically(folder / ORIGIN, origin)  # last: it says that the others are there


def budget_of_maps(run: Path) -> dict[str, Any]:
    source = checkpoint_of(run)
    budget, trained = budget_of(source), run_of(source)
    if budget is None:
        raise InputError(f"{run} has no records of its training; give a run, or shipped weights, as maps.")
    if trained is not None and "end" not in json.loads((trained / "run.json").read_text()):
        raise InputError(f"{run} has not come to its end; its maps can be shared when it has.")
    return budget


def train(name: str, path: Path, asked: argparse.Namespace) -> Path:
    """The run's folder; nothing is done where its last step is saved."""
    folder = Path(asked.out) / "runs" / name
    seed = asked.again if name == AGAIN else asked.seed
    words = [f"--data={{root: {asked.data}, split: {asked.split}}}", f"--seed={seed}", f"--folder={folder}"]
    words += ["--validation.every=0", "--checkpoint.keep=1", *(f"--{word}" for word in asked.set)]
    config = load_training_config(path, words)
    maps = Path(asked.out) / "maps" / name
    run_of_maps = own_maps(asked).get(name, asked.maps)
    if run_of_maps:
        write_maps(Path(run_of_maps), config, maps)
        config = behind(str(maps), config)
    config = scaled(config, asked.scale)
    file = Path(asked.out) / f"{name}.yaml"
    text = dump_yaml(config)
    if file.exists() and file.read_text() != text:
        raise InputError(f"{file} was begun with other options; give the same ones, or another --out.")
    write_text_atomically(file, text)
    if is_done(folder, config.num_steps):
        return folder
    code = subprocess.run([sys.executable, "-m", "panoptic3d", "train", str(file)], check=False).returncode
    if code == EXIT_TO_BE_RESTARTED:
        raise Panoptic3dError(f"{name} was asked to stop and is saved; the same command goes on.")
    if code:
        raise Panoptic3dError(f"the training of {name} ended with exit code {code}; {folder}/train.log says why.")
    return folder


def own_maps(asked: argparse.Namespace) -> dict[str, str]:
    own = dict(word.partition("=")[::2] for word in asked.own_maps)
    for name, run in own.items():
        if name not in known_ablations() or not run or not asked.maps:
            known = ", ".join(known_ablations())
            raise InputError(f"--own-maps wants NAME=RUN beside --maps, NAME being one of {known}; got {name}={run}.")
    return own


def check_maps(asked: argparse.Namespace, chosen: Sequence[str]) -> None:
    """All maps must have seen as many samples."""
    own = {name: run for name, run in own_maps(asked).items() if name in chosen}
    seen = {run: budget_of_maps(Path(run))["samples_seen"] for run in (asked.maps, *own.values()) if run}
    if len(set(seen.values())) > 1:
        told = ", ".join(f"{run} {samples:,}" for run, samples in seen.items())
        raise InputError(f"maps to be compared must have seen as many samples; these have: {told}.")


def is_done(folder: Path, num_steps: int) -> bool:
    facts = folder / "run.json"
    return facts.exists() and json.loads(facts.read_text()).get("end", {}).get("step") == num_steps


def carry_out(asked: argparse.Namespace) -> dict[str, Any]:
    known = known_ablations()
    possible = [name for name, path in known.items() if _is_possible(name, path, asked)]
    chosen = asked.only or possible
    for name in chosen:
        if name not in known:
            raise InputError(f"there is no ablation {name!r}; choose from {', '.join(known)}.")
        if name not in possible:
            raise InputError(
                f"{name} cannot start from these maps; leave --maps out, give it some with --own-maps if it has a stage for "
                f"them, or choose from {', '.join(possible)}."
            )
    check_maps(asked, chosen)
    Path(asked.out).mkdir(parents=True, exist_ok=True)
    paths, ideas = {WHOLE: CONFIGS / "tiny.yaml"}, {name: idea_of(known[name]) for name in chosen}
    if asked.again is not None:
        paths[AGAIN], ideas[AGAIN] = paths[WHOLE], f"Nothing, but drawn with seed {asked.again}: this much is chance"
    paths |= {name: known[name] for name in chosen}
    runs: dict[str, Path] = {}
    for name, path in paths.items():  # a table after each training: whatever stops the next one, this much is known
        runs[name] = train(name, path, asked)
        result = {
            "race": _race(runs, asked),
            "ideas": ideas,
            "note": _note(asked, chosen),
        }
        write_text_atomically(Path(asked.out) / "ablations.json", json.dumps(result, indent=1) + "\n")
    return result


def _is_possible(name: str, path: Path, asked: argparse.Namespace) -> bool:
    if not asked.maps or can_share_maps(path):
        return True
    return name in own_maps(asked) and len(load_training_config(path, ["--folder=x"]).stages) > 1


def _race(runs: dict[str, Path], asked: argparse.Namespace) -> dict[str, Any]:
    entrants = {name: Entrant(path=str(folder)) for name, folder in runs.items()}
    config = RaceConfig(
        data=asked.test,
        split=asked.test_split,
        num_samples=asked.num,
        protocols=("strict",),
        entrants=entrants,
        out=str(Path(asked.out) / "race"),
        num_threads=asked.threads,
        num_cost_photos=0,
    )
    return run_race(config)


def _note(asked: argparse.Namespace, chosen: Sequence[str]) -> str:
    changes = "".join(f", `{change}`" for change in asked.set)
    steps = f"times {asked.scale:g}{changes}, seed {asked.seed}"
    if not asked.maps:
        return f"Every stage of tiny.yaml {steps}."
    own = "".join(
        f"; “{idea_of(known_ablations()[name])}” from maps of its own" for name in own_maps(asked) if name in chosen
    )
    return (
        f"What follows the maps in tiny.yaml {steps}; all start from the same maps, which learnt with every idea{own}."
    )


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", required=True, metavar="ROOT", help="to train on")
    parser.add_argument("--split", default="train", help="of it (train)")
    parser.add_argument("--test", required=True, metavar="ROOT", help="to race on")
    parser.add_argument("--test-split", default="test", help="of it (test)")
    parser.add_argument("--num", type=int, metavar="N", help="only the first samples of it")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--scale", type=float, default=0.1, help="of the steps of tiny.yaml (0.1)")
    parser.add_argument("--maps", metavar="RUN", help="weights of the first stage, from which everybody starts")
    parser.add_argument("--own-maps", nargs="+", default=[], metavar="NAME=RUN", help="but this ablation, from these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", type=int, metavar="SEED", help="train the whole once more: the size of chance")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"some of: {', '.join(known_ablations())}")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="changes of every config")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    print(ablation_table(carry_out(parse(words))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
