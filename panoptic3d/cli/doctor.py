"""`panoptic3d doctor`: what is installed, what works, and a numerical self-test of each part that computes."""

import argparse
import dataclasses
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--explain", action="store_true", help="print which kernel computes a sparse convolution here, and why"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    if arguments.explain:
        from panoptic3d.cli.explain import explain

        return explain(arguments.json)
    from panoptic3d.cli.self_tests import run_self_tests
    from panoptic3d.machine import describe_machine
    from panoptic3d.optional import PARTS, status

    machine = {**describe_machine(), "devices": _devices()}
    parts = {name: dict(zip(("state", "detail"), status(name), strict=True)) for name in PARTS}
    tests = run_self_tests()
    if arguments.json:
        results = [dataclasses.asdict(test) for test in tests]
        print(json.dumps({**machine, "optional": parts, "self_tests": results}, indent=2))
    else:
        _print_table(machine, parts, tests)
    return 0 if all(test.passed for test in tests if test.is_needed) else 1


def _devices() -> list[str]:
    import torch

    return ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]


def _print_table(machine: dict, parts: dict, tests: list) -> None:
    for key, value in machine.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        print(f"{key:<12} {', '.join(text) if isinstance(text, list) else text}")
    print("\noptional parts")
    for name, part in parts.items():
        print(f"  {name:<18} {part['state']:<8} {part['detail']}")
    print("\nself-tests")
    for test in tests:
        state = "passed" if test.passed else "FAILED" if test.is_needed else "not used"
        print(f"  {test.name:<36} {state:<8} {test.detail}")
