"""From a raw mesh to one that layouts can use: finite, in metres, upright, with the front at -y, and small."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int32

from panoptic3d.errors import Panoptic3dError
from panoptic3d.rooms.assets.raw import RawMesh
from panoptic3d.rooms.meshes.solids import surface_below

_THINNEST_M = 0.002


class BrokenMeshError(Panoptic3dError):
    """The mesh is beyond use; the message says why."""


def cleaned(mesh: RawMesh) -> RawMesh:
    """Without triangles that are not finite, have no area or occur twice, and without unused vertices."""
    finite = np.asarray(np.isfinite(mesh.vertices).all(axis=1))
    in_range = np.asarray(((mesh.triangles >= 0) & (mesh.triangles < len(mesh.vertices))).all(axis=1))
    triangles = np.where(in_range[:, None], mesh.triangles, 0)
    keep = in_range & finite[triangles].all(axis=1)
    vertices = np.where(finite[:, None], mesh.vertices, 0.0)
    size = float(np.ptp(vertices[triangles[keep]].reshape(-1, 3), axis=0).max(initial=0.0))
    corners = vertices[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    keep &= area > (1e-6 * size) ** 2
    _, first = np.unique(np.sort(triangles, axis=1), axis=0, return_index=True)
    is_first = np.zeros(len(triangles), dtype=bool)
    is_first[first] = True
    keep &= is_first
    if not keep.any():
        raise BrokenMeshError("no triangle with an area is left.")
    return _kept(replace(mesh, vertices=vertices), keep)


def _kept(mesh: RawMesh, keep: Bool[np.ndarray, " t"]) -> RawMesh:
    used, renumbered = np.unique(mesh.triangles[keep], return_inverse=True)
    return replace(
        mesh,
        vertices=mesh.vertices[used],
        triangles=renumbered.reshape(-1, 3).astype(np.int32),
        uv=mesh.uv[keep],
        material_of=mesh.material_of[keep],
    )


def posed(
    mesh: RawMesh, turn: Float[np.ndarray, "3 3"], size_m: tuple[float, float, float] | None, unit_m: float
) -> RawMesh:
    """Turned by `turn`, fitted to a size (width, depth, height) or scaled by the unit; base at z = 0, centred.

    A flat side stays flat; a fit that would stretch one axis more than thrice the others is refused.
    """
    vertices = mesh.vertices @ turn.T
    extent = np.ptp(vertices, axis=0)
    if extent.max() <= 0:
        raise BrokenMeshError("all vertices are one point.")
    if size_m is None:
        scale = np.full(3, unit_m)
    else:
        wide = extent > 1e-6 * extent.max()
        scale = np.where(wide, np.asarray(size_m) / np.where(wide, extent, 1.0), 1.0)
        if scale[wide].max() > 3 * scale[wide].min():
            raise BrokenMeshError(f"its proportions {extent.round(3).tolist()} do not fit its stated size {size_m} m.")
    vertices = vertices * scale
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    if np.sort(high - low)[1] < _THINNEST_M:
        raise BrokenMeshError("it is a line.")
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    triangles = mesh.triangles if np.linalg.det(turn) > 0 else mesh.triangles[:, ::-1]
    uv = mesh.uv if np.linalg.det(turn) > 0 else mesh.uv[:, ::-1]
    return replace(mesh, vertices=vertices - origin, triangles=np.ascontiguousarray(triangles), uv=uv)


def decimated(mesh: RawMesh, most_triangles: int) -> RawMesh:
    """By clustering vertices: cells grow until few enough triangles are left. Thin and open meshes survive it."""
    if len(mesh.triangles) <= most_triangles:
        return mesh
    size = float(np.ptp(mesh.vertices, axis=0).max())
    fine, coarse = size / 2000, size / 8
    best: RawMesh | None = None
    for _ in range(14):
        cell = float(np.sqrt(fine * coarse))
        smaller = _clustered(mesh, cell)
        if smaller is not None and len(smaller.triangles) <= most_triangles:
            coarse, best = cell, smaller
        else:
            fine = cell if smaller is not None else fine
            coarse = coarse if smaller is not None else cell
    if best is None:
        raise BrokenMeshError(f"it cannot be brought below {most_triangles} triangles.")
    return best


def _clustered(mesh: RawMesh, cell: float) -> RawMesh | None:
    """Vertices of a cell become their mean, the outermost ones keep the bounding box."""
    low = mesh.vertices.min(axis=0)
    keys = np.floor((mesh.vertices - low) / cell + 0.5).astype(np.int64)
    _, cluster = np.unique(keys, axis=0, return_inverse=True)
    cluster = cluster.ravel()
    count = np.bincount(cluster)
    means = np.stack([np.bincount(cluster, mesh.vertices[:, k]) / count for k in range(3)], axis=1)
    triangles = cluster[mesh.triangles].astype(np.int32)
    keep = (
        (triangles[:, 0] != triangles[:, 1])
        & (triangles[:, 1] != triangles[:, 2])
        & (triangles[:, 2] != triangles[:, 0])
    )
    _, first = np.unique(np.sort(triangles, axis=1), axis=0, return_index=True)
    is_first = np.zeros(len(triangles), dtype=bool)
    is_first[first] = True
    keep &= is_first
    if not keep.any():
        return None
    span, old = np.ptp(means, axis=0), np.ptp(mesh.vertices, axis=0)
    grown = np.where(span > 0, old / np.where(span > 0, span, 1.0), 1.0)
    fitted = (means - means.min(axis=0)) * grown + low
    return _kept(replace(mesh, vertices=fitted, triangles=triangles), keep)


def metric_uv(mesh: RawMesh) -> tuple[Float[np.ndarray, "t 3 2"], list[float]]:
    """Texture coordinates in metres, and the metres that one repeat of each material's picture takes."""
    corners = mesh.vertices[mesh.triangles]
    edge = np.linalg.norm(corners[:, 1] - corners[:, 0], axis=1) + np.linalg.norm(corners[:, 2] - corners[:, 1], axis=1)
    step = np.linalg.norm(mesh.uv[:, 1] - mesh.uv[:, 0], axis=1) + np.linalg.norm(mesh.uv[:, 2] - mesh.uv[:, 1], axis=1)
    scales = []
    for k in range(len(mesh.materials)):
        own = (mesh.material_of == k) & (step > 1e-6)
        scales.append(float(np.clip(np.median(edge[own] / step[own]), 0.02, 20.0).round(4)) if own.any() else 1.0)
    return mesh.uv * np.array(scales)[mesh.material_of][:, None, None], scales


def free_top(mesh: RawMesh, height_m: float) -> tuple[float, tuple[float, float, float, float]] | None:
    """The largest centred rectangle at about this height under which the mesh really has a level surface, or None."""
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    corners = mesh.vertices[mesh.triangles]
    n = 15
    share = (np.arange(n) + 0.5) / n
    x, y = np.meshgrid(low[0] + share * (high[0] - low[0]), low[1] + share * (high[1] - low[1]), indexing="ij")
    above = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, high[2] + 0.01)])
    surface = surface_below(above, corners, 0.0).reshape(n, n)
    near = surface[np.abs(surface - height_m) < 0.03]
    if len(near) < 20:
        return None
    level = float(np.median(near))
    is_level = np.abs(surface - level) < 0.003
    for shrink in range(n // 2):
        if is_level[shrink : n - shrink, shrink : n - shrink].mean() > 0.995:
            a, b = share[shrink] - 0.5 / n, share[n - 1 - shrink] + 0.5 / n
            x0, y0 = (low + a * (high - low))[:2].tolist()
            x1, y1 = (low + b * (high - low))[:2].tolist()
            return round(level, 4), (round(x0, 4), round(y0, 4), round(x1, 4), round(y1, 4))
    return None


def outward(triangles: Int32[np.ndarray, "t 3"], vertices: Float[np.ndarray, "v 3"]) -> Int32[np.ndarray, "t 3"]:
    """Turned inside out if the whole encloses a negative volume."""
    from panoptic3d.rooms.meshes.shapes import signed_volume_m3

    return triangles if signed_volume_m3(vertices, triangles) >= 0 else np.ascontiguousarray(triangles[:, ::-1])
