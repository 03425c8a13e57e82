"""The `photo` renderer: paths traced by Mitsuba 3 over the same triangles, materials and lights, then denoised.

Paths see each material in its mean colour; the texture is multiplied on afterwards, where pixels know it exactly. So few
paths are needed (no pattern has to be told from noise), and every texture of the fast renderer is there. Sky and glowing
lamp shades are laid over, as the light that they give is carried by lamps and windows of the scene.
"""

import os
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from panoptic3d.errors import InputError
from panoptic3d.optional import is_installed, require
from panoptic3d.randomness import derive_seed, numpy_generator
from panoptic3d.rooms.meshes.soup import TriangleSoup
from panoptic3d.rooms.render.fast import sky_radiance
from panoptic3d.rooms.render.film import Film, develop
from panoptic3d.rooms.render.raycast import Caster, Hits, pixel_rays
from panoptic3d.rooms.render.textures import albedo, mean_albedo
from panoptic3d.rooms.scene import Light, RoomScene, View
from panoptic3d.structures.camera import Camera

_SUBPIXELS = np.array([(-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125)])
_MAX_DEPTH = 6
_LLVM_NAMES = ("libLLVM.so.19.1", "libLLVM-19.so", "libLLVM.so.20.1", "libLLVM-20.so")  # 14 to 16 abort the process
_LIBRARY_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib", "/opt/homebrew/lib")


class TracedRoom:
    """A room ready for path tracing. `samples` are paths a pixel."""

    def __init__(self, scene: RoomScene, soup: TriangleSoup, caster: Caster, samples: int = 16) -> None:
        self._mitsuba = mitsuba()
        self.scene, self.soup, self.caster, self.samples = scene, soup, caster, samples
        self._mean = np.array([mean_albedo(material) for material in soup.materials], np.float32)
        self._world = self._mitsuba.load_dict({"type": "scene", **self._shapes(), **self._lights()})

    def photo(self, view: View, hits: Hits, seed: int, film: Film | None = None) -> UInt8[np.ndarray, "h w 3"]:
        """As `LitRoom.photo`."""
        random = numpy_generator(self.scene.seed, "photo", seed)
        film = Film.varied(random) if film is None else film
        return develop(self.radiance(view, seed), film, random)

    def radiance(self, view: View, seed: int) -> Float32[np.ndarray, "h w 3"]:
        traced = self._trace(view, derive_seed(self.scene.seed, "paths", seed) % 2**31)
        ratio, overlay, kept = self._layers(view)
        return (traced * ratio * kept + overlay).astype(np.float32)

    def _trace(self, view: View, seed: int) -> np.ndarray:
        """Denoised radiance with plain colours."""
        mi = self._mitsuba
        integrator = mi.load_dict(
            {
                "type": "aov",
                "aovs": "albedo:albedo,normal:sh_normal",
                "paths": {"type": "volpath", "max_depth": _MAX_DEPTH, "hide_emitters": True},
            }
        )
        channels = np.array(
            mi.render(self._world, sensor=_sensor(mi, view), integrator=integrator, spp=self.samples, seed=seed)
        )
        color, albedo_aov, normal = channels[..., :3], channels[..., -6:-3], channels[..., -3:]
        return denoised(
            *(np.ascontiguousarray(np.nan_to_num(part), np.float32) for part in (color, albedo_aov, normal))
        )

    def _layers(self, view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Layers of each pixel from four rays: texture over plain colour, light on top, and the share of rays without it."""
        soup, camera = self.soup, view.camera
        rows, columns = np.divmod(np.arange(camera.height * camera.width), camera.width)
        centre = np.stack([columns, rows], axis=1)
        textured, plain, overlay, kept = 0.0, 0.0, 0.0, 0.0
        emission = np.array([material.emission for material in soup.materials], np.float32)
        clear = np.array([material.transmission for material in soup.materials], np.float32)
        for step in _SUBPIXELS:
            origins, directions = pixel_rays(view, centre + step)
            hits = self.caster.cast(origins, directions)
            material = soup.material_of[hits.triangle]
            uv = np.einsum("nk,nkc->nc", hits.weights, soup.uv_m[hits.triangle])
            footprint = np.where(hits.is_hit, hits.distance, 1.0) / camera.fx_px
            textured = textured + albedo(soup.materials, material, uv, footprint)
            plain = plain + self._mean[material]
            glows = hits.is_hit & (emission[material].max(axis=1) > 0)
            pane = hits.is_hit & (clear[material] > 0.5)
            is_outside = ~hits.is_hit
            is_outside[pane] |= self._looks_out(origins[pane], directions[pane], hits.distance[pane], clear)
            added = np.where(glows[:, None], emission[material], 0)
            added[is_outside] = sky_radiance(self.scene.sky, directions[is_outside])
            overlay = overlay + added
            kept = kept + ~(glows | is_outside)
        size = (camera.height, camera.width)
        ratio = np.clip(textured / np.maximum(plain, 1e-3), 0, 4).reshape(*size, 3)
        return ratio, np.asarray(overlay / 4).reshape(*size, 3), np.asarray(kept / 4, np.float32).reshape(*size, 1)

    def _looks_out(
        self, origins: np.ndarray, directions: np.ndarray, distance: np.ndarray, clear: np.ndarray
    ) -> np.ndarray:
        """Whether rays that meet a pane leave the room behind it."""
        left = np.arange(len(origins))
        result = np.zeros(len(origins), np.bool_)
        ends = origins + directions * (distance[:, None] + 1e-3)
        for _ in range(3):
            hits = self.caster.cast(ends[left], directions[left])
            result[left[~hits.is_hit]] = True
            on = hits.is_hit & (clear[self.soup.material_of[hits.triangle]] > 0.5)
            ends[left[on]] += directions[left[on]] * (hits.distance[on, None] + 1e-3)
            left = left[on]
        return result

    def _shapes(self) -> dict[str, Any]:
        """One mesh of everything opaque, one of glass, one of what glows, whatever the room: compiled code is reused."""
        mi, soup = self._mitsuba, self.soup
        materials = soup.materials
        glows = np.array([max(material.emission) > 0 for material in materials], np.bool_)[soup.material_of]
        clear = np.array([material.transmission > 0.5 for material in materials], np.bool_)[soup.material_of] & ~glows
        opaque = {
            "type": "twosided",
            "bsdf": {
                "type": "principled",
                "base_color": {"type": "mesh_attribute", "name": "face_color"},
                "roughness": {"type": "mesh_attribute", "name": "face_roughness"},
                "metallic": {"type": "mesh_attribute", "name": "face_metallic"},
                "specular": 0.4,
            },
        }
        shine = {"type": "area", "radiance": {"type": "mesh_attribute", "name": "face_emission"}}
        pieces = {
            "opaque": (~glows & ~clear, opaque, None),
            "glass": (clear, {"type": "thindielectric"}, None),
            "glowing": (glows, {"type": "null"}, shine),
        }
        return {
            name: self._mesh(mi, name, chosen, bsdf, emitter)
            for name, (chosen, bsdf, emitter) in pieces.items()
            if chosen.any()
        }

    def _mesh(self, mi: Any, name: str, chosen: np.ndarray, bsdf: dict, emitter: dict | None) -> Any:
        soup = self.soup
        properties = mi.Properties()
        properties["bsdf"] = mi.load_dict(bsdf)
        if emitter is not None:
            properties["emitter"] = mi.load_dict(emitter)
        num = int(chosen.sum())
        mesh = mi.Mesh(name, 3 * num, num, has_vertex_normals=emitter is None, props=properties)
        material = soup.material_of[chosen]
        for attribute, values in (
            ("face_color", self._mean[material]),
            ("face_roughness", np.array([max(m.roughness, 0.08) for m in soup.materials])[material][:, None]),
            ("face_metallic", np.array([m.metallic for m in soup.materials])[material][:, None]),
            ("face_emission", np.array([m.emission for m in soup.materials])[material]),
        ):
            flat = np.ascontiguousarray(values, np.float32)
            mesh.add_attribute(attribute, flat.shape[1], flat.ravel())
        parameters = mi.traverse(mesh)
        parameters["vertex_positions"] = soup.corners_m[chosen].ravel()
        if emitter is None:
            parameters["vertex_normals"] = soup.corner_normals[chosen].ravel()
        parameters["faces"] = np.arange(3 * num, dtype=np.uint32)
        parameters.update()
        return mesh

    def _lights(self) -> dict[str, Any]:
        return {f"light_{n}": _emitter(self._mitsuba, light) for n, light in enumerate(self.scene.lights)}


def _emitter(mi: Any, light: Light) -> dict[str, Any]:
    radiance = {"type": "rgb", "value": list(light.radiance)}
    match light.kind:
        case "sun":
            return {"type": "directional", "direction": list(light.direction), "irradiance": radiance}
        case "point":
            return {"type": "point", "position": list(light.position_m), "intensity": radiance}
        case "rectangle":
            assert light.edges_m is not None
            first, second = (np.array(edge) / 2 for edge in light.edges_m)
            facing = np.cross(first, second)
            if np.dot(facing, light.direction) < 0:
                second, facing = -second, -facing
            matrix = np.eye(4)
            matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = first, second, facing / np.linalg.norm(facing)
            matrix[:3, 3] = np.array(light.position_m) + sum(np.array(edge) for edge in light.edges_m) / 2
            area = {"type": "area", "radiance": radiance}
            return {
                "type": "rectangle",
                "to_world": mi.ScalarTransform4f(matrix),
                "bsdf": {"type": "null"},
                "emitter": area,
            }


def _sensor(mi: Any, view: View) -> Any:
    camera = view.camera
    if not _is_centred(camera):
        raise InputError("the photo renderer needs a camera whose axis goes through the middle of its image.")
    matrix = view.world_from_camera @ np.diag([-1.0, -1.0, 1.0, 1.0])  # x left, y up
    film = {
        "type": "hdrfilm",
        "width": camera.width,
        "height": camera.height,
        "pixel_format": "rgb",
        "rfilter": {"type": "box"},
    }
    return mi.load_dict(
        {
            "type": "perspective",
            "fov": camera.horizontal_fov_deg,
            "fov_axis": "x",
            "near_clip": 0.01,
            "far_clip": 100.0,
            "to_world": mi.ScalarTransform4f(matrix),
            "film": film,
            "sampler": {"type": "independent"},
        }
    )


def _is_centred(camera: Camera) -> bool:
    off = (abs(camera.cx_px - (camera.width - 1) / 2), abs(camera.cy_px - (camera.height - 1) / 2))
    return max(off) < 1e-6 and abs(camera.fx_px - camera.fy_px) < 1e-6


@cache
def mitsuba() -> ModuleType:
    """With compiled code where a fitting LLVM is found, five times slower without; one thread, so that pictures repeat."""
    library = _find_llvm()
    if library is not None:
        os.environ.setdefault("DRJIT_LIBLLVM_PATH", library)
    mi = require("mitsuba", "the photo renderer")
    mi.set_variant("llvm_ad_rgb" if library is not None else "scalar_rgb")
    if library is not None:
        import drjit

        drjit.set_thread_count(1)
    return mi


def _find_llvm() -> str | None:
    if given := os.environ.get("DRJIT_LIBLLVM_PATH"):
        return given
    paths = (Path(folder) / name for folder in _LIBRARY_FOLDERS for name in _LLVM_NAMES)
    return next((str(path) for path in paths if path.exists()), None)


def denoised(
    color: Float32[np.ndarray, "h w 3"], plain: Float32[np.ndarray, "h w 3"], normal: Float32[np.ndarray, "h w 3"]
) -> Float32[np.ndarray, "h w 3"]:
    """By Intel's Open Image Denoise; without it as it is, for which many more paths should be asked."""
    if not is_installed("pyoidn"):
        return color
    oidn = require("pyoidn", "denoising")
    return np.asarray(oidn.denoise(color, albedo=plain, normal=normal, hdr=True), np.float32)
