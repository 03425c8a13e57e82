"""Kills verbs at random moments, then lets the same command finish: nothing is lost or half-written, and the bytes are those
of a run that nobody killed.

    python -m eval.faults.kill_verbs --kills 30 [--verb pack ...] [--json FILE]
"""

import os
import random
import signal
from functools import partial
from pathlib import Path

from eval.faults.command import carry_out, parser_of
from eval.faults.verbs import Verb, begin, differences, finish, half_written, left_behind, mixed, start, unbroken, wait

_BY_DEFAULT = ("predict", "generate", "pack", "verify", "evaluate", "train")
_ROUND = 3  # kills before the command is let through


def main() -> int:
    parser = parser_of(__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    return carry_out(arguments, partial(attack, num_kills=arguments.kills, seed=arguments.seed), _BY_DEFAULT)


def attack(verb: Verb, inputs: Path, base: Path, num_kills: int, seed: int) -> dict:
    """Each kill of a round in the same folder, so that what one leaves meets the next."""
    chance = random.Random(seed)
    before, wanted, lasts_s = unbroken(verb, inputs, base)
    out, log, wrong = base / "broken", base / "broken.log", []
    num_killed = num_over = 0
    while num_killed < num_kills and num_over < 3 * num_kills:
        begin(verb, inputs, out)
        for _ in range(_ROUND):
            process = start(verb.words(inputs, out), log, verb.patch)
            if wait(process, chance.uniform(0.0, 1.0) * lasts_s) is None:
                os.kill(process, signal.SIGKILL)
                finish(process)
                num_killed += 1
            else:
                num_over += 1  # too late
                lasts_s *= 0.9  # the machine is less busy than it was
            wrong += [f"kill {num_killed}: {problem}" for problem in half_written(verb, out, before, wanted)]
            wrong += [f"kill {num_killed}: {problem}" for problem in mixed(out, before, wanted)]
        code = finish(start(verb.words(inputs, out), log, verb.patch))
        wrong += [f"after kill {num_killed}: exit code {code}: {log.read_text()[-300:]}"] if code else []
        wrong += [f"after kill {num_killed}: {name} differs" for name in differences(wanted, verb.contents(out))]
        wrong += [f"after kill {num_killed}: {name} was left" for name in left_behind(out)]
    return {"kills": num_killed, "too_late": num_over, "seconds_of_a_run": round(lasts_s, 1), "wrong": wrong}


if __name__ == "__main__":
    raise SystemExit(main())
