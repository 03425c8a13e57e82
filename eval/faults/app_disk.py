"""Fills the disk of `panoptic3d app` at random places while a photo is sent: it answers 507 or the scene fails, each with one
sentence, nothing of it is left, and with room again the same photo becomes the scene that it should.

    python -m eval.faults.app_disk --places 20 [--json FILE]        # as root: it mounts a tmpfs

The network is stood in for. What is attacked is the upload, which lies on the disk twice, and the files of the scene.
"""

import argparse
import io
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from eval.faults.command import keep
from eval.faults.full_disk import PAGE, disk, resize, used_bytes
from eval.faults.verbs import Contents, file_contents
from tests.app.serving import InThread, served

_ROOM = 1 << 30


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--places", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    assert os.geteuid() == 0, "mounting a tmpfs takes root"
    with tempfile.TemporaryDirectory() as name, disk(Path(name, "disk")) as place:
        tempfile.tempdir = str(place)  # where the form of an upload is kept while it comes in
        result = attack(place, arguments.places, random.Random(arguments.seed))
    print(json.dumps(result, indent=1))
    if arguments.json:
        keep(Path(arguments.json), "app, network stood in for", result)
    return int(bool(result["wrong"]))


def attack(place: Path, num_places: int, chance: random.Random) -> dict:
    photo, answers, wrong = large_photo(), [], []
    with served(place, InThread()) as (address, _), httpx.Client(base_url=address, timeout=60) as client:
        least = used_bytes(place)
        told, wanted = sent(client, photo, place)
        assert told["state"] == "done", told
        most = used_bytes(place) + len(photo)  # which lies there once more while it comes in
        forget(client, told)
        while len(answers) < num_places:
            size = chance.randrange(least // PAGE + 1, most // PAGE) * PAGE
            resize(place, size)
            told, _ = sent(client, photo, place)
            what = f"with {size - least:,} of {most - least:,} bytes"
            if told["state"] != "done":
                answers.append(told["state"])
                wrong += [f"{what}: {problem}" for problem in judged(told)]
            forget(client, told)
            wrong += [f"{what}: {used_bytes(place) - least:,} bytes were left"] if used_bytes(place) > least else []
            resize(place, _ROOM)
            told, found = sent(client, photo, place)
            wrong += [f"with room again after {what}: {told}"] if told["state"] != "done" else []
            wrong += [f"with room again after {what}: the scene differs"] if found != wanted else []
            forget(client, told)
    answered = {state: answers.count(state) for state in sorted(set(answers))}
    return {"full": len(answers), "bytes": most - least, "answers": answered, "wrong": wrong}


def judged(told: dict) -> Iterator[str]:
    if told["state"] not in ("failed", "507"):
        yield f"answered {told}"
    error = str(told.get("error"))
    if "unexpected" in error or not error.endswith(".") or "\n" in error:
        yield f"no sentence: {error!r}"


def sent(client: httpx.Client, photo: bytes, place: Path) -> tuple[dict, Contents]:
    """What became of it, and the hashes of the scene's files."""
    answer = client.post("/api/scenes", files={"photo": ("a.png", photo)})
    if answer.status_code != 202:
        return {"state": str(answer.status_code), **answer.json()}, {}
    path = f"/api/scenes/{answer.json()['id']}"
    while (told := client.get(path).json())["state"] not in ("done", "failed"):
        time.sleep(0.01)
    return told, file_contents(place / told["id"] / "scene")


def forget(client: httpx.Client, told: dict) -> None:
    if "id" in told:
        assert client.delete(f"/api/scenes/{told['id']}").status_code == 204


def large_photo() -> bytes:
    """More than what a form keeps in memory."""
    noise = np.random.default_rng(0).integers(0, 256, (700, 900, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
