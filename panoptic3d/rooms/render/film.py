"""From radiance to the photo that a camera would give: exposure, tone curve, lens, sensor, sRGB."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from scipy.ndimage import gaussian_filter

_KEY, _WHITE = 0.34, 4.0  # where the geometric mean of a picture goes, and what becomes white, before the tone curve
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True)
class Film:
    """How the photo is taken; `varied` draws it."""

    exposure_stops: float = 0.0
    white_balance: float = 0.7  # share of the light's tint that the camera takes out
    contrast: float = 1.12
    saturation: float = 1.1
    blur_px: float = 0.3
    noise: float = 0.006  # of a mid grey
    vignette: float = 0.1

    @classmethod
    def wide(cls, random: np.random.Generator) -> "Film":
        """Dim and blown pictures, any white balance, phones' contrast, the noise of small sensors at night."""
        return cls(
            exposure_stops=float(np.clip(random.normal(0.0, 0.55), -1.4, 1.2)),
            white_balance=float(random.uniform(0.15, 1.0)),
            contrast=float(random.uniform(0.92, 1.32)),
            saturation=float(random.uniform(0.75, 1.35)),
            blur_px=float(random.uniform(0.0, 0.9)),
            noise=float(random.uniform(0.001, 0.02)),
            vignette=float(random.uniform(0.0, 0.35)),
        )

    @classmethod
    def varied(cls, random: np.random.Generator) -> "Film":
        return cls(
            exposure_stops=float(np.clip(random.normal(0.0, 0.25), -0.6, 0.6)),
            white_balance=float(random.uniform(0.5, 0.9)),
            contrast=float(random.uniform(1.02, 1.22)),
            saturation=float(random.uniform(0.98, 1.22)),
            blur_px=float(random.uniform(0.0, 0.5)),
            noise=float(random.uniform(0.001, 0.009)),
            vignette=float(random.uniform(0.0, 0.22)),
        )


def develop(
    radiance: Float32[np.ndarray, "h w 3"], film: Film, random: np.random.Generator
) -> UInt8[np.ndarray, "h w 3"]:
    exposed = _exposed(radiance, film)
    glow = gaussian_filter(np.minimum(np.maximum(exposed - 1.0, 0), 4.0), (7, 7, 0))
    exposed = exposed + 0.08 * glow
    if film.blur_px > 0.05:
        exposed = gaussian_filter(exposed, (film.blur_px, film.blur_px, 0))
    exposed *= _vignette((len(radiance), radiance.shape[1]), film.vignette)[..., None]
    toned = _tone(exposed)
    grey = (toned @ _LUMINANCE)[..., None]
    toned = np.clip(grey + film.saturation * (toned - grey), 0, 1)
    encoded = _srgb(toned)
    encoded = 0.5 + film.contrast * (encoded - 0.5)
    grain = random.normal(size=encoded.shape).astype(np.float32)
    shared = random.normal(size=(*encoded.shape[:2], 1)).astype(np.float32)
    strength = film.noise * (1.4 - 0.8 * encoded)
    encoded = encoded + strength * (0.6 * grain + 0.8 * shared)
    return np.rint(np.clip(encoded, 0, 1) * 255).astype(np.uint8)


def _exposed(radiance: np.ndarray, film: Film) -> np.ndarray:
    luminance = radiance @ _LUMINANCE
    lit = luminance[luminance > 1e-6]
    if len(lit) == 0:
        return radiance
    mean = float(np.exp(np.mean(np.log(np.clip(lit, *np.quantile(lit, (0.05, 0.93)))))))
    tint = np.minimum(radiance, 4 * mean).mean(axis=(0, 1))
    gain = (tint.mean() / np.maximum(tint, 1e-6)) ** film.white_balance
    return (radiance * (_KEY / mean * 2**film.exposure_stops * gain)).astype(np.float32)


def _vignette(size: tuple[int, int], strength: float) -> np.ndarray:
    height, width = size
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    return 1 - strength * 0.5 * (np.square(x)[None, :] + np.square(y)[:, None])


def _tone(x: np.ndarray) -> np.ndarray:
    """Straight in the shadows with a long soft shoulder (Reinhard et al., 2002, equation 4)."""
    return np.clip(x * (1 + x / _WHITE**2) / (1 + x), 0, 1)


def _srgb(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 0.0031308) ** (1 / 2.4) - 0.055)
