"""What learns in a stage, at which rate, and the average of it."""

from collections.abc import Callable

import pytest
import torch

from panoptic3d.engine.methods.table import build_method
from panoptic3d.engine.training.config import OptimizerConfig, TrainingConfig
from panoptic3d.engine.training.ema import MovingAverage
from panoptic3d.engine.training.optimizer import build_optimizer, parameter_groups, set_rate
from panoptic3d.engine.training.run import Resume, train
from panoptic3d.engine.training.stages import check_parts, learnable_names, set_trained_parts, stages_of
from panoptic3d.errors import ConfigError
from tests.engine.small_method import SmallConfig, SmallMethod


def test_frozen_parts_are_frozen_norms_and_all() -> None:
    method = SmallMethod(SmallConfig(norm="batch"))
    fixed = method.network.classes.bias.requires_grad_(False)
    learnable = learnable_names(method)
    set_trained_parts(method, ("3d",), learnable)
    assert not any(p.requires_grad for p in method.network.depth.parameters())
    assert not any(module.training for module in method.network.depth.modules())
    assert all(module.training for module in method.network.voxels.modules())
    assert not fixed.requires_grad
    set_trained_parts(method, (), learnable)
    assert all(p.requires_grad for p in method.network.depth.parameters())
    assert all(module.training for module in method.modules())
    assert not fixed.requires_grad


def test_every_learning_parameter_is_in_one_group_at_the_rate_of_its_part() -> None:
    method = SmallMethod(SmallConfig())
    method.balance = torch.nn.Parameter(torch.zeros(2))  # in no part
    config = OptimizerConfig(learning_rate=0.1, weight_decay=0.01, rate_of_part={"2d": 0.5})
    groups = parameter_groups(method, config)
    grouped = [p for group in groups for p in group["params"]]
    assert len(grouped) == len(set(grouped)) == len(list(method.parameters()))
    rates = {p: group["lr"] for group in groups for p in group["params"]}
    decays = {p: group["weight_decay"] for group in groups for p in group["params"]}
    assert rates[method.network.depth[0].weight] == 0.05
    assert rates[method.balance] == 0.1
    assert (decays[method.network.depth[0].weight], decays[method.network.depth[0].bias]) == (0.01, 0.0)
    optimizer = build_optimizer(method, config)
    assert set_rate(optimizer, 0.5) == 0.05
    assert set_rate(optimizer, 0.5) == 0.05


def test_an_average_follows_and_steps_aside() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.BatchNorm1d(1))
    average = MovingAverage(network, decay=0.75)
    before = network[0].weight.item()
    with torch.no_grad():
        network[0].weight += 4.0
        network[1].num_batches_tracked += 3
    average.update(step=100)
    assert average.state_dict()["0.weight"].item() == pytest.approx(before + 1.0)
    assert average.state_dict()["1.num_batches_tracked"].item() == 3
    with average.in_place():
        assert network[0].weight.item() == pytest.approx(before + 1.0)
    assert network[0].weight.item() == pytest.approx(before + 4.0)


def test_stages_lie_end_to_end(small_run: Callable[..., TrainingConfig]) -> None:
    own = {"learning_rate": 0.5}
    stages = [{"name": "a", "steps": 3, "train": ["2d"]}, {"name": "b", "steps": 2, "optimizer": own}]
    first, second = stages_of(small_run(stages=stages))
    assert [(s.start, s.end) for s in (first, second)] == [(0, 3), (3, 5)]
    assert (first.optimizer.learning_rate, second.optimizer.learning_rate) == (1e-3, 0.5)


def test_wrong_stages_are_refused_before_the_first_step(small_run: Callable[..., TrainingConfig]) -> None:
    config = small_run(stages=[{"name": "a", "steps": 1, "train": ["4d"]}])
    with pytest.raises(ConfigError, match="names the part '4d'; the method has 2d, 3d"):
        check_parts(build_method(config), stages_of(config))
    with pytest.raises(ConfigError, match="two stages share a name"):
        small_run(stages=[{"name": "a", "steps": 1}, {"name": "a", "steps": 1}])
    with pytest.raises(ConfigError, match="has no activation checkpointing"):
        build_method(small_run(activation_checkpointing=True))
    with pytest.raises(ConfigError, match=r"unknown key `settings.widht` \(did you mean `settings.width`\?\)"):
        small_run(settings={"widht": 3})


def test_an_average_soon_forgets_where_it_began() -> None:
    network = torch.nn.Linear(1, 1)
    average = MovingAverage(network, decay=0.999)
    with torch.no_grad():
        network.weight += 4.0
    for step in range(100):
        average.update(step)
    assert average.state_dict()["weight"].item() == pytest.approx(network.weight.item(), abs=1e-3)


def test_an_average_begins_anew_with_every_stage(
    small_run: Callable[..., TrainingConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    monkeypatch.setattr(MovingAverage, "update", lambda _, step: seen.append(step))
    stages = [{"name": "a", "steps": 3, "train": ["2d"]}, {"name": "b", "steps": 2}]
    assert train(small_run(stages=stages, ema_decay=0.9), Resume()) == 0
    assert seen == [0, 1, 2, 0, 1]


def test_parts_begin_with_the_first_stage_that_trains_them(small_run: Callable[..., TrainingConfig]) -> None:
    stages = [
        {"name": "a", "steps": 3, "train": ["2d"]},
        {"name": "b", "steps": 4, "train": ["3d"]},
        {"name": "c", "steps": 5},
    ]
    assert build_method(small_run(stages=stages)).first_steps == {"2d": 0, "3d": 3}
    assert build_method(small_run(stages=stages[:1])).first_steps == {"2d": 0}
