"""Which grid edges an unsigned distance field's surface crosses: docs/adr/0006-meshes-and-page.md argues for the method.

An unsigned field has no sign to follow. Along a grid edge p-q the surface shows as a V: continued from beyond p, the field
would reach -d(q) at q instead of +d(q). That is the evidence, taken from the more trustworthy of the two sides. Where it is
weak (the surface runs through p or q) neighbours decide: signs, inside or outside, that agree best with all of the evidence.
Where no signs can agree, at the rim of an open sheet or where three regions meet (a box on a floor), the evidence stands
alone.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64
from scipy import ndimage
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

_PAD = 2  # so that a neighbour's neighbour is an address
_OUTSIDE_VOX = 1e3
_BAND_VOX = 1.3  # points farther from the surface touch no crossed edge, which has d(p) + d(q) <= 1; 0.3 for noise
_STEEPEST = 1.25  # a distance grows by at most 1 a voxel; steeper means that the neighbour lies outside of the frustum
_NO_SIDE = 1e3
_UNDECIDED = 0.1  # evidence against a crossing where no side can be trusted
_STRONG = 0.4  # on analytic boxes, less than 1 % of evidence beyond this is wrong
_FAINT = 0.1  # evidence that counts where the signs left a hole
_CLUSTER = 20  # so many strong contradictions in one place are an open sheet, not noise
_HOLE = 8  # so many edges that should be crossed, in one place where nothing is, are a hole
_SWEEPS = 60


@dataclass(frozen=True, eq=False)
class Band:
    """The grid points near the surface of a padded field."""

    shape: tuple[int, int, int]  # padded
    field: Float32[np.ndarray, " cells"]  # padded, flat
    point: Int64[np.ndarray, " n"]  # flat index of each band point, ascending
    number: Int64[np.ndarray, " cells"]  # position in `point`, or -1
    slope: Float32[np.ndarray, "n 3"]  # gradient by the steeper one-sided difference: exact for planes, kink or not

    @property
    def strides(self) -> tuple[int, int, int]:
        return self.shape[1] * self.shape[2], self.shape[2], 1

    def index_of(self, flat: Int64[np.ndarray, " m"]) -> Int64[np.ndarray, "m 3"]:
        """Grid index, without the padding."""
        return np.stack(np.unravel_index(flat, self.shape), axis=1) - _PAD


@dataclass(frozen=True, eq=False)
class Edges:
    """Grid edges from `start` one step along `axis`. Evidence above 0 speaks for a crossing."""

    start: Int64[np.ndarray, " e"]
    axis: Int64[np.ndarray, " e"]
    stop: Int64[np.ndarray, " e"]
    evidence: Float32[np.ndarray, " e"]

    def chosen(self, mask: Bool[np.ndarray, " e"]) -> "Edges":
        return Edges(self.start[mask], self.axis[mask], self.stop[mask], self.evidence[mask])


def find_band(distance_vox: Float32[np.ndarray, "x y z"]) -> Band:
    padded = np.pad(distance_vox, _PAD, constant_values=_OUTSIDE_VOX)
    flat = padded.ravel()
    point = np.flatnonzero(flat < _BAND_VOX)
    number = np.full(flat.size, -1, np.int64)
    number[point] = np.arange(len(point))
    shape = (padded.shape[0], padded.shape[1], padded.shape[2])
    band = Band(shape, flat, point, number, np.zeros((len(point), 3), np.float32))
    for axis, stride in enumerate(band.strides):
        after, before = flat[point + stride] - flat[point], flat[point] - flat[point - stride]
        after, before = (np.where(np.abs(step) > _STEEPEST, 0, step) for step in (after, before))
        band.slope[:, axis] = np.where(np.abs(after) >= np.abs(before), after, before)
    return band


def crossed_edges(band: Band) -> Edges:
    """The edges through which the surface passes."""
    parts = [_edges_along(band, axis) for axis in range(3)]
    edges = Edges(*(np.concatenate([getattr(part, name) for part in parts]) for name in Edges.__annotations__))
    if not len(edges.start):
        return edges
    is_seen = edges.evidence > 0
    signs = _agreeing_signs(band, edges)
    is_signed = signs[band.number[edges.start]] != signs[band.number[edges.stop]]
    is_contradicted = (is_signed != is_seen) & (np.abs(edges.evidence) > _STRONG)
    is_open = _in_clusters(band, edges.start[is_contradicted], _CLUSTER, grown=2)
    is_near = band.field[edges.start] + band.field[edges.stop] < _BAND_VOX
    is_crossed = is_near & np.where(is_open[edges.start], is_seen, is_signed)
    is_bare = is_near & (edges.evidence > _FAINT) & ~_is_touched(band, edges, is_crossed)
    is_hole = _in_clusters(band, edges.start[is_bare], _HOLE, grown=0)
    return edges.chosen(is_crossed | is_bare & is_hole[edges.start])


def _edges_along(band: Band, axis: int) -> Edges:
    """All edges between band points along one axis, with the evidence of their profile a, b | c, d."""
    stride, field = band.strides[axis], band.field
    start = band.point[band.number[band.point + stride] >= 0]
    stop = start + stride
    a, b, c, d = field[start - stride], field[start], field[stop], field[stop + stride]
    left, right = 2 * b - a, 2 * c - d  # each side continued along its own slope, to stop and to start
    doubt_left = _doubt(band, start, axis, b - a)
    doubt_right = _doubt(band, stop, axis, d - c)
    yes_left, yes_right = np.abs(left + c) + doubt_left, np.abs(right + b) + doubt_right
    # One slope may explain a crossing of this edge or of the edge before it: it serves the one that it fits better.
    before = _spread(band, start, yes_left)[start - stride]
    after = _spread(band, start, yes_right)[stop]
    doubt_left = np.where(before < yes_left, 2 * _NO_SIDE, doubt_left)
    doubt_right = np.where(after < yes_right, 2 * _NO_SIDE, doubt_right)
    yes = np.minimum(np.abs(left + c) + doubt_left, np.abs(right + b) + doubt_right)
    no = np.minimum(np.abs(left - c) + doubt_left, np.abs(right - b) + doubt_right)
    is_blind = np.minimum(doubt_left, doubt_right) >= _NO_SIDE
    evidence = np.where(is_blind, -_UNDECIDED, no - yes)
    evidence = np.where(b + c > _BAND_VOX, -(b + c), evidence)
    return Edges(start, np.full(len(start), axis), stop, evidence.astype(np.float32))


def _doubt(band: Band, point: np.ndarray, axis: int, step: np.ndarray) -> np.ndarray:
    """How far the gradient with this one-sided step is from length 1, which it has away from other surfaces."""
    slope = band.slope[band.number[point]]
    others = (slope**2).sum(axis=1) - slope[:, axis] ** 2
    doubt = np.abs(1 - np.sqrt(step**2 + np.maximum(others, 0)))
    return np.where(np.abs(step) > _STEEPEST, _NO_SIDE, doubt)


def _spread(band: Band, at: np.ndarray, values: np.ndarray) -> np.ndarray:
    spread = np.full(band.field.size, 10 * _NO_SIDE, np.float32)
    spread[at] = values
    return spread


def _agreeing_signs(band: Band, edges: Edges) -> Bool[np.ndarray, " n"]:
    """A side for every band point: first along the tree of the strongest evidence, then each point as its neighbours say."""
    start, stop = band.number[edges.start], band.number[edges.stop]
    is_inside = _signs_along_tree(start, stop, edges.evidence, len(band.point))
    pull = coo_matrix((-edges.evidence, (start, stop)), shape=(len(band.point),) * 2)
    pull = (pull + pull.T).tocsr()
    color = (
        np.stack(np.unravel_index(band.point, band.shape)).sum(axis=0) % 2
    )  # neighbours differ: half can move at once
    halves = [(np.flatnonzero(color == value), pull[color == value]) for value in (0, 1)]
    sign = np.where(is_inside, -1.0, 1.0).astype(np.float32)
    for _ in range(_SWEEPS):
        num_changed = 0
        for own, rows in halves:
            vote = rows @ sign
            wanted = np.where(vote == 0, sign[own], np.sign(vote))
            num_changed += int((wanted != sign[own]).sum())
            sign[own] = wanted
        if not num_changed:
            break
    return sign < 0


def _signs_along_tree(start: np.ndarray, stop: np.ndarray, evidence: np.ndarray, size: int) -> Bool[np.ndarray, " n"]:
    """Sides that follow the maximum spanning forest of |evidence|: flipped on every edge of it that is crossed."""
    cost = csr_matrix((1 / (np.abs(evidence) + 1e-3), (start, stop)), shape=(size, size))
    forest = minimum_spanning_tree(cost).tocoo()
    relation = csr_matrix(((evidence > 0).astype(np.int8) + 1, (start, stop)), shape=(size, size))
    kind = np.asarray(relation[forest.row, forest.col]).ravel()
    _, label = connected_components(forest, directed=False)
    roots = np.unique(label, return_index=True)[1]
    rows = np.concatenate((forest.row, np.full(len(roots), size)))  # one further node above all roots
    columns = np.concatenate((forest.col, roots))
    kinds = np.concatenate((kind, np.ones(len(roots), np.int8)))
    tree = coo_matrix((kinds, (rows, columns)), shape=(size + 1, size + 1))
    tree = (tree + tree.T).tocsr()
    parent = breadth_first_order(tree, size, directed=False)[1].astype(np.int64)
    parent[size] = size
    is_flipped = np.zeros(size + 1, np.bool_)
    is_flipped[:size] = np.asarray(tree[np.arange(size), parent[:size]]).ravel() == 2
    while (parent[parent] != parent).any():  # pointer doubling: after n rounds everyone knows its 2^n-th ancestor
        is_flipped, parent = is_flipped ^ is_flipped[parent], parent[parent]
    return is_flipped[:size]


def _in_clusters(band: Band, points: Int64[np.ndarray, " m"], least: int, grown: int) -> Bool[np.ndarray, " cells"]:
    """Grid points in or near places where at least so many of the given ones lie close together."""
    count = np.bincount(points, minlength=band.field.size).reshape(band.shape)
    cube = np.ones((3, 3, 3), np.bool_)
    label = np.zeros(band.shape, np.int32)
    num = int(ndimage.label(ndimage.binary_dilation(count > 0, cube), cube, output=label))  # pyright: ignore[reportArgumentType]
    is_large = np.bincount(label.ravel(), count.ravel(), num + 1) >= least
    is_large[0] = False
    near = is_large[label]
    return (ndimage.binary_dilation(near, cube, iterations=grown) if grown else near).ravel()


def _is_touched(band: Band, edges: Edges, is_crossed: Bool[np.ndarray, " e"]) -> Bool[np.ndarray, " e"]:
    """Edges of which an end is an end of a crossed edge too: beside them the surface has no hole."""
    is_touched = np.zeros(band.field.size, np.bool_)
    is_touched[edges.start[is_crossed]] = True
    is_touched[edges.stop[is_crossed]] = True
    return is_touched[edges.start] | is_touched[edges.stop]
