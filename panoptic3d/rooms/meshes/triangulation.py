"""Simple polygons into triangles."""

import numpy as np
from jaxtyping import Float, Int32


def ear_clipped(outline: Float[np.ndarray, "n 2"]) -> Int32[np.ndarray, "t 3"]:
    """Triangles, anticlockwise, of an anticlockwise outline without holes or crossings."""
    points = [(float(x), float(y)) for x, y in outline]
    left = list(range(len(points)))
    triangles: list[tuple[int, int, int]] = []
    while len(left) > 3:
        ear = next((k for k in range(len(left)) if _is_ear(points, left, k)), None)
        if ear is None:  # only rounding leaves none: any corner will do for what remains
            ear = 0
        triangles.append((left[ear - 1], left[ear], left[(ear + 1) % len(left)]))
        del left[ear]
    return np.array([*triangles, tuple(left)], dtype=np.int32)


def _is_ear(points: list[tuple[float, float]], left: list[int], k: int) -> bool:
    a, b, c = points[left[k - 1]], points[left[k]], points[left[(k + 1) % len(left)]]
    if _area(a, b, c) <= 1e-12:
        return False
    others = (points[i] for i in left if points[i] not in (a, b, c))
    return not any(_area(a, b, p) >= 0 and _area(b, c, p) >= 0 and _area(c, a, p) >= 0 for p in others)


def _area(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
