"""Learns a handful of frames by heart: does the objective lead to the score? No engine, no loader, one step a line.

python eval/panorecon/overfit.py --data ROOT --keys a/0001 b/0001 --config configs/panorecon/overfit.yaml --out DIR
"""

import argparse
import json
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from panoptic3d.config import canonical_json, fingerprint, parse_overrides, read_yaml_tree
from panoptic3d.data.roots import open_root
from panoptic3d.engine.method import Method
from panoptic3d.engine.methods.registry import build_method, method_config
from panoptic3d.metrics.prq_metric import PanopticReconstructionQuality
from panoptic3d.structures.batch import collate
from panoptic3d.structures.sample import Sample
from panoptic3d.structures.scene import PanopticScene


def main() -> None:
    arguments = _arguments()
    torch.manual_seed(arguments.seed)
    method = build_method(method_config(_tree(arguments), arguments.config), arguments.seed)
    if arguments.start is not None:
        _load(method, Path(arguments.start))
    root = open_root(arguments.data)
    samples = [root.read(key) for key in arguments.keys or root.keys()]
    start_s, cpu_s = time.perf_counter(), time.process_time()
    steps = train(method, samples, arguments)
    spent = {"steps": steps, "wall_s": time.perf_counter() - start_s, "cpu_s": time.process_time() - cpu_s}
    _save(method, Path(arguments.out))
    result = {"config": fingerprint(method.config), **spent, **scores(method, samples)}
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in result.items()}))


def train(method: Method, samples: list[Sample], arguments: argparse.Namespace) -> int:
    """Frames in turn, `--batch` at a time; the learning rate falls as a cosine over steps or minutes."""
    parameters = [parameter for parameter in method.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=arguments.lr)
    start_s = time.perf_counter()
    for step in range(arguments.steps):
        share = max(step / arguments.steps, (time.perf_counter() - start_s) / 60 / arguments.minutes)
        if share >= 1:
            return step
        optimizer.param_groups[0]["lr"] = arguments.lr * (0.02 + 0.98 * 0.5 * (1 + _cosine(share)))
        chosen = [samples[(step * arguments.batch + i) % len(samples)] for i in range(arguments.batch)]
        terms = method(collate(chosen), step + arguments.first_step)
        total = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(parameters, arguments.clip)
        optimizer.step()
        if step % arguments.log_every == 0:
            said = " ".join(f"{name} {float(term.detach()):.3f}" for name, term in terms.items())
            print(f"{step} {time.perf_counter() - start_s:.0f}s total {float(total.detach()):.3f} {said}", flush=True)
        if arguments.score_every and (step + 1) % arguments.score_every == 0:
            print(step, scores(method, samples), flush=True)
            _save(method, Path(arguments.out))
    return arguments.steps


def scores(method: Method, samples: list[Sample]) -> dict[str, float]:
    """From the photo alone, and with true depth and masks in place of the 2D stage. Nothing of a 2D stage by itself."""
    found = {}
    if method.config.stage == "2d":
        return found
    ways = {"photo": method.scenes, "given_image_truth": method.scenes_given_image_truth}
    for name, scenes in ways.items():
        metric = PanopticReconstructionQuality("strict")
        for sample in samples:
            scene: PanopticScene = scenes(collate([sample]))[0]
            metric.update(scene, sample)
        found |= {f"{key}_{name}": round(float(value), 4) for key, value in metric.compute().items() if "_" not in key}
    return found


def _cosine(share: float) -> float:
    return float(torch.cos(torch.tensor(torch.pi * share)))


def _tree(arguments: argparse.Namespace) -> dict:
    tree = read_yaml_tree(arguments.config)["method"]
    return _merged(tree, parse_overrides(arguments.overrides))


def _merged(under: dict, over: dict) -> dict:
    both = {
        k: _merged(under[k], v) if isinstance(v, dict) and isinstance(under.get(k), dict) else v
        for k, v in over.items()
    }
    return under | both


def _save(method: Method, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous() for name, tensor in method.network.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(canonical_json(method.network_config))


def _load(method: Method, folder: Path) -> None:
    method.network.load_state_dict(load_file(folder / "model.safetensors"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--keys", nargs="*")
    parser.add_argument("--config", required=True)
    parser.add_argument("--start", help="a folder whose weights to go on from")
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--first-step", type=int, default=0, help="where the curriculum stands at the first one")
    parser.add_argument("--minutes", type=float, default=1e9)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--clip", type=float, default=1e9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log-every", type=int, default=20)
    parser.add_argument("--score-every", type=int, default=0)
    arguments, arguments.overrides = parser.parse_known_args()
    return arguments


if __name__ == "__main__":
    main()
