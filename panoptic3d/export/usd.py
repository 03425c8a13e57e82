"""USD, for those who have `usd-core`: a mesh prim a segment. USD is right-handed with y up by default, as glTF is."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from panoptic3d.export.gltf import GltfNode, gltf_from_camera, linear_from_srgb
from panoptic3d.optional import require

ENDINGS = (".usd", ".usda", ".usdc")


def usd_bytes(nodes: Sequence[GltfNode], ending: str) -> bytes:
    """Names that USD does not allow lose their odd signs (`chair-3` becomes `chair_3`); the extras hold the name as it is."""
    require("pxr", "writing USD")
    from pxr import Usd, UsdGeom  # pyright: ignore[reportMissingImports]

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"scene{ending}"
        stage = Usd.Stage.CreateNew(str(path))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/scene").GetPrim())
        for node in nodes:
            _define(stage, node)
        stage.GetRootLayer().Save()
        return path.read_bytes()


def _define(stage: Any, node: GltfNode) -> None:
    from pxr import UsdGeom, Vt  # pyright: ignore[reportMissingImports]

    part = node.part
    mesh = UsdGeom.Mesh.Define(stage, "/scene/" + re.sub(r"\W", "_", part.name))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateDoubleSidedAttr(True)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(gltf_from_camera(part.mesh.vertices).numpy()))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(gltf_from_camera(part.normals).numpy()))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    faces = part.mesh.faces.int().numpy()
    mesh.CreateFaceVertexCountsAttr([3] * len(faces))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(faces.reshape(-1)))
    color = mesh.CreateDisplayColorPrimvar(UsdGeom.Tokens.vertex)
    color.Set(Vt.Vec3fArray.FromNumpy(linear_from_srgb(node.colors.color).numpy()))
    for key in ("name", "id", "class", "is_thing", "score"):
        if node.extras[key] is not None:
            mesh.GetPrim().SetCustomDataByKey(f"panoptic3d:{key}", node.extras[key])
