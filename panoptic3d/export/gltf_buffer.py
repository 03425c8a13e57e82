"""Build the binary chunk of a GLB and its JSON entries. Arrays are stored as KHR_mesh_quantization allows."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int8, Int32, Int64

_BYTE, _UINT16, _UINT32, _FLOAT = 5120, 5123, 5125, 5126
_VERTICES, _INDICES = 34962, 34963
_MOST_OF_UINT16 = 65535  # vertices: the highest number is not an index


class GltfBuffer:
    """Each `add` returns the number of its accessor, `add_bytes` that of its view."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add_positions(self, whole: Int32[np.ndarray, "v 3"]) -> int:
        """Whole numbers of 16 bits; the pose of the node makes metres of them. Rows begin at multiples of four bytes."""
        rows = np.zeros((len(whole), 4), "<u2")
        rows[:, :3] = whole
        bounds = {"min": whole.min(axis=0).tolist(), "max": whole.max(axis=0).tolist()}
        return self._add(rows, _UINT16, "VEC3", is_normalized=False, **bounds)

    def add_normals(self, normals: Int8[np.ndarray, "v 3"]) -> int:
        rows = np.zeros((len(normals), 4), "i1")
        rows[:, :3] = normals
        return self._add(rows, _BYTE, "VEC3")

    def add_places(self, uv: Float[np.ndarray, "v 2"]) -> int:
        """In floats: there are readers that take whole numbers for pixels."""
        return self._add(uv.astype("<f4"), _FLOAT, "VEC2", is_normalized=False)

    def add_colors(self, linear: Float[np.ndarray, "v 3"]) -> int:
        rows = np.full((len(linear), 4), 65535, "<u2")
        rows[:, :3] = np.rint(linear * 65535)
        return self._add(rows, _UINT16, "VEC4")

    def add_indices(self, faces: Int64[np.ndarray, "f 3"], num_vertices: int) -> int:
        is_short = num_vertices <= _MOST_OF_UINT16
        values = faces.reshape(-1).astype("<u2" if is_short else "<u4")
        view = self.add_bytes(values.tobytes(), target=_INDICES)
        kind = _UINT16 if is_short else _UINT32
        return self._accessor({"bufferView": view, "componentType": kind, "count": len(values), "type": "SCALAR"})

    def add_bytes(self, data: bytes, **of_view: int) -> int:
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data), **of_view})
        self.data += data
        self.data += bytes(-len(self.data) % 4)
        return len(self.views) - 1

    def _add(self, rows: np.ndarray, component: int, kind: str, *, is_normalized: bool = True, **more: Any) -> int:
        stride = rows.shape[1] * rows.itemsize
        view = self.add_bytes(rows.tobytes(), byteStride=stride, target=_VERTICES)
        accessor = {"bufferView": view, "componentType": component, "count": len(rows), "type": kind, **more}
        return self._accessor(accessor | ({"normalized": True} if is_normalized else {}))

    def _accessor(self, accessor: dict[str, Any]) -> int:
        self.accessors.append(accessor)
        return len(self.accessors) - 1
