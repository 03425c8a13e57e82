"""300 hostile requests and 100 that dawdle against a server, while 20 browsers load pages: what they are answered, how soon,
and what it costs the server.

    python -m eval.faults.servers [--server app] [--rounds 12] [--json FILE]

Every page within 2 seconds (but in the first round), every hostile request answered as its table says, nothing on the
terminal, the slow ones hung up on, and memory that grows by no more than 5 % from the second third of the rounds to the last.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import mean

import httpx

from eval.faults.command import keep
from eval.faults.memory import resident_mb
from tests.hostile.app_requests import TO_APP
from tests.hostile.requests import TO_BOTH, Asked, form, photo, posted, request, status_of

_PHOTO = Path(__file__).resolve().parents[2] / "data" / "photos" / "bedroom.jpg"
_HOSTILE, _SLOW, _BROWSERS, _PAGES = 300, 100, 20, 5
_WITHIN_S, _HUNG_UP_AFTER_S, _GROWTH = 2.0, 40.0, 0.05
_READ_AHEAD = 65_536  # a larger body may be refused before it is read, and the answer is lost when the server hangs up
_WORDS = {
    "view": lambda scene: ["view", str(scene), "--no-browser"],
    "app": lambda scene: ["app", "--port", "0", "--no-open", "--device", "cpu"],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--server", action="append", choices=_WORDS)
    parser.add_argument("--rounds", type=int, default=12, help="at least 3")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    is_wrong = False
    for name in arguments.server or _WORDS:
        result = attack(name, arguments.rounds)
        is_wrong |= bool(result["wrong"])
        print(f"{name:5} {json.dumps(result)}", flush=True)
        if arguments.json:
            keep(Path(arguments.json), name, result)
    return int(is_wrong)


def attack(name: str, num_rounds: int) -> dict:
    with tempfile.TemporaryDirectory() as folder, started(name, Path(folder)) as (process, host, log):
        pages, big = pages_of(name, host)
        table = TO_BOTH if name == "view" else [*TO_BOTH, *TO_APP]
        alone_s = asyncio.run(only_browsers(host, pages))
        rounds, answers, wrong = [], Counter(), list[str]()
        for _ in range(num_rounds):
            answers, waited_s, found, last_s = asyncio.run(storm(host, table, pages, big))
            wrong += found
            rounds.append({"mb": resident_mb(process.pid) or 0.0, "waited_s": max(waited_s), "hung_up_s": last_s})
        said, core_s = log.read_text(), core_seconds(process.pid)
    worst_s, hung_up_s = (max(one[key] for one in rounds[1:]) for key in ("waited_s", "hung_up_s"))
    growth = growth_of([one["mb"] for one in rounds])
    wrong += [f"a page took {worst_s:.2f} s"] if worst_s > _WITHIN_S else []
    wrong += [f"memory grew by {growth:.1%}"] if growth > _GROWTH else []
    wrong += [f"the terminal says {said[-300:]!r}"] if said else []
    return {
        "answers": dict(sorted(answers.items())),
        "slowest_page_s": round(worst_s, 2),
        "slowest_page_of_browsers_alone_s": round(alone_s, 2),
        "load": os.getloadavg()[0],
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "server_ran_s": round(core_s[0], 1),
        "server_waited_for_a_core_s": round(core_s[1], 1),
        "slow_ones_gone_after_s": round(hung_up_s, 1),
        "resident_mb": [round(one["mb"]) for one in rounds],
        "wrong": wrong,
    }


def core_seconds(process: int) -> tuple[float, float]:
    """How long the threads of a process have run, and how long they could have run on a machine with more cores. On a busy
    machine the second explains slow pages: see it before the server is blamed, or call this by `nice -n -20` as root.
    """
    told = [path.read_text().split() for path in Path(f"/proc/{process}/task").glob("*/schedstat")]
    ran_s, waited_s = (sum(int(one[column]) for one in told) / 1e9 for column in (0, 1))
    return ran_s, waited_s


def growth_of(resident_mb: list[float]) -> float:
    """From the second third of the rounds to the last. The first warms up: the heap is as large as the most threads that were
    ever alive at once, and how many those are is chance.
    """
    third = len(resident_mb) // 3
    return mean(resident_mb[-third:]) / mean(resident_mb[third : 2 * third]) - 1


async def storm(
    host: str, table: list[Asked], pages: list[str], big: str
) -> tuple[Counter, list[float], list[str], float]:
    """How hostile requests were answered, how long each page took, what was wrong, and after how long all was over."""
    begin_s = time.monotonic()
    slow = [asyncio.create_task(dawdle(host, number, big)) for number in range(_SLOW)]
    await asyncio.sleep(0.5)
    asked = [table[number % len(table)] for number in range(_HOSTILE)]
    wrong, waited_s, answers = [], [], Counter()

    async def send(one: Asked) -> None:
        status = status_of(await answer(host, one.data))
        answers[status or "hung up"] += 1
        is_refused_early = status == "429" or (not status and len(one.data) > _READ_AHEAD)
        if status not in one.right and not is_refused_early:
            wrong.append(f"{one}: answered {status or 'nothing'}")

    browsers = (browse(host, pages, number, waited_s, wrong) for number in range(_BROWSERS))
    await asyncio.gather(*map(send, asked), *browsers)
    _, late = await asyncio.wait(slow, timeout=_HUNG_UP_AFTER_S)
    wrong += [f"{len(late)} slow connections are open after {_HUNG_UP_AFTER_S:.0f} s"] if late else []
    for task in late:
        task.cancel()
    return answers, waited_s, wrong, time.monotonic() - begin_s


async def browse(host: str, pages: list[str], number: int, waited_s: list[float], wrong: list[str]) -> None:
    for page in (pages[(number + n) % len(pages)] for n in range(_PAGES)):
        start_s = time.monotonic()
        said = await answer(host, request("GET", page))
        waited_s.append(time.monotonic() - start_s)
        if status_of(said) != "200":
            wrong.append(f"a browser got {status_of(said) or 'nothing'} for {page}")


async def only_browsers(host: str, pages: list[str]) -> float:
    """How long the slowest page takes on this machine, as busy as it is, where nobody attacks."""
    waited_s, wrong = list[float](), list[str]()
    await asyncio.gather(*(browse(host, pages, number, waited_s, wrong) for number in range(_BROWSERS)))
    assert not wrong, wrong
    return max(waited_s)


async def answer(host: str, data: bytes) -> bytes:
    name, _, port = host.rpartition(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    said = b""
    with suppress(ConnectionError):
        writer.write(data.replace(b"{host}", host.encode()))
        await writer.drain()
    with suppress(ConnectionError):
        said = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return said


async def dawdle(host: str, number: int, big: str) -> None:
    """Until the server hangs up: nothing said, a head or a body byte by byte, or an answer that is not read."""
    name, _, port = host.rpartition(":")
    whole = posted("/api/scenes", form(photo())) if number % 4 == 2 else request("GET", big)
    first = {0: 0, 1: 20, 2: 400, 3: len(whole)}[number % 4]
    limit = 1 << 12  # of what is read ahead
    reader, writer = await asyncio.open_connection(name, int(port), limit=limit)
    with suppress(ConnectionError, OSError):
        data = whole.replace(b"{host}", host.encode())
        writer.write(data[:first] if number % 4 != 3 else data)
        for place in range(first, first + 1000):
            await asyncio.sleep(0.5)
            if writer.is_closing() or (number % 4 != 3 and reader.at_eof()):
                break
            if number % 4 in (1, 2):
                writer.write(data[place : place + 1] or b"x")
                await writer.drain()
            elif number % 4 == 3:
                writer.write(b"x")  # which fails as soon as the server is gone
                await writer.drain()
    writer.transport.abort()


def pages_of(name: str, host: str) -> tuple[list[str], str]:
    """What browsers load, and the largest file of it."""
    if name == "view":
        return ["/", "/scene.glb", "/preview.png", "/scene.json"], "/scene.npz"
    with _PHOTO.open("rb") as file:
        job = httpx.post(f"http://{host}/api/scenes", files={"photo": file}, timeout=60).json()["id"]
    while (told := httpx.get(f"http://{host}/api/scenes/{job}", timeout=60).json())["state"] != "done":
        assert told["state"] != "failed", told
        time.sleep(0.5)
    scene = f"/api/scenes/{job}"
    pages = ["/", "/assets/page.js", "/api/scenes", "/api/about", f"{scene}/scene.json", f"{scene}/preview.png"]
    return [*pages, f"{scene}/scene.glb"], f"{scene}/scene.npz"


@contextmanager
def started(name: str, folder: Path) -> Iterator[tuple[subprocess.Popen, str, Path]]:
    from panoptic3d import Predictor

    if name == "view":
        Predictor(device="cpu")(_PHOTO).save(folder / "scene")
    log = folder / "log"
    with log.open("w") as errors:
        words = [sys.executable, "-m", "panoptic3d", *_WORDS[name](folder / "scene")]
        environment = {**os.environ, "TMPDIR": str(folder)}
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().split()[0].removeprefix("http://").rstrip("/"), log
    finally:
        process.terminate()
        process.wait(timeout=60)
        process.stdout.close()


if __name__ == "__main__":
    raise SystemExit(main())
