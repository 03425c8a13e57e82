"""Materials of furniture and shell, drawn so that one room's things go together. Colours are linear RGB."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from panoptic3d.rooms.scene import Material

Color = tuple[float, float, float]
Channels = Sequence[float | int] | np.ndarray  # sRGB, 0 to 255

# sRGB bytes: light oak, oak, beech, teak, walnut, mahogany, wenge, black stain, white lacquer, grey lacquer.
_WOODS = (
    *((222, 190, 146), (196, 154, 106), (210, 170, 125), (168, 110, 66), (120, 78, 50), (116, 58, 40)),
    *((70, 48, 38), (48, 42, 40), (236, 233, 226), (150, 148, 142)),
)  # fmt: skip
_CLOTHS = (
    *((214, 205, 190), (188, 178, 162), (150, 146, 140), (104, 106, 110), (66, 70, 78), (44, 58, 84)),
    *((78, 104, 128), (104, 128, 122), (92, 112, 78), (126, 132, 92), (176, 142, 72), (190, 120, 74)),
    *((160, 84, 66), (128, 52, 54), (176, 130, 126), (206, 176, 164), (120, 96, 120), (232, 226, 216)),
)  # fmt: skip
_LEATHERS = ((60, 42, 32), (112, 70, 42), (150, 104, 66), (38, 36, 36), (206, 194, 174))
_PAINTS = (
    *((240, 238, 232), (236, 232, 222), (230, 224, 210), (226, 228, 228), (214, 218, 214), (222, 214, 202)),
    *((206, 212, 206), (198, 206, 214), (216, 206, 196), (190, 198, 188), (212, 196, 180), (178, 190, 200)),
)  # fmt: skip
_LEAVES = ((58, 98, 44), (74, 116, 52), (46, 84, 50), (96, 128, 62), (40, 72, 42))
_CERAMICS = ((236, 232, 224), (52, 54, 58), (148, 160, 156), (178, 130, 96), (62, 88, 110), (196, 176, 140))


def linear(srgb: Channels) -> Color:
    """From sRGB bytes."""
    share = np.asarray(srgb, dtype=np.float64) / 255
    values = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).round(4)
    return float(values[0]), float(values[1]), float(values[2])


def varied(random: np.random.Generator, srgb: Channels, by: float | int = 8) -> Color:
    return linear(np.clip(np.asarray(srgb) + random.normal(0, by / 2) + random.normal(0, by / 3, 3), 8, 246))


def pick(random: np.random.Generator, colors: Sequence[Channels]) -> Channels:
    return colors[int(random.integers(len(colors)))]


def _seed(random: np.random.Generator) -> int:
    return int(random.integers(2**31))


def wood(random: np.random.Generator) -> Material:
    """Grained wood, or lacquer that shows none."""
    base = pick(random, _WOODS)
    color = varied(random, base)
    is_lacquer = min(base) > 140 and max(base) - min(base) < 16
    darker = tuple(round(channel * 0.62, 4) for channel in color)
    return Material(
        color,
        "plain" if is_lacquer else "wood",
        (darker[0], darker[1], darker[2]),
        scale_m=round(float(random.uniform(0.12, 0.3)), 3),
        roughness=round(float(random.uniform(0.3, 0.6)), 3),
        seed=_seed(random),
    )


def cloth(random: np.random.Generator) -> Material:
    base = pick(random, _CLOTHS)
    kind = random.choice(["cloth", "cloth", "cloth", "cloth", "stripes", "plain"])
    # Stripes mostly of one hue: contrasts are for the beach.
    is_bold = kind == "stripes" and random.random() < 0.2
    second = pick(random, _CLOTHS) if is_bold else np.asarray(base) * (0.72 if kind == "stripes" else 0.84)
    return Material(
        varied(random, base, 10),
        str(kind),  # pyright: ignore[reportArgumentType]
        varied(random, second, 4),
        scale_m=round(float(random.uniform(0.05, 0.16)) if kind == "stripes" else 0.02, 3),
        roughness=0.9,
        seed=_seed(random),
    )


def leather(random: np.random.Generator) -> Material:
    return Material(varied(random, pick(random, _LEATHERS), 8), roughness=round(float(random.uniform(0.35, 0.55)), 3))


def upholstery(random: np.random.Generator) -> Material:
    return leather(random) if random.random() < 0.25 else cloth(random)


def metal(random: np.random.Generator) -> Material:
    """Chrome, brushed steel, brass, or painted black or white."""
    kind = int(random.integers(5))
    color = ((200, 202, 206), (150, 152, 156), (186, 150, 92), (34, 34, 36), (228, 228, 226))[kind]
    roughness = (0.15, 0.4, 0.3, 0.5, 0.5)[kind]
    return Material(varied(random, color, 3), roughness=roughness, metallic=1.0 if kind < 3 else 0.0)


def paint(random: np.random.Generator) -> Material:
    return Material(varied(random, pick(random, _PAINTS), 6), roughness=0.85)


def ceramic(random: np.random.Generator) -> Material:
    return Material(varied(random, pick(random, _CERAMICS), 12), roughness=round(float(random.uniform(0.15, 0.6)), 3))


def leaf(random: np.random.Generator) -> Material:
    color = varied(random, pick(random, _LEAVES), 10)
    return Material(color, roughness=0.5, seed=_seed(random))


def bright(random: np.random.Generator) -> Material:
    """Book spines, toys, cushions: anything goes, but not neon, and seldom purple."""
    hue, saturation, value = random.random(), random.uniform(0.08, 0.5), random.uniform(0.25, 0.8)
    hue = hue * 0.62 if random.random() < 0.85 else hue
    turns = np.abs(((hue + np.array([0.0, 2 / 3, 1 / 3])) % 1) * 6 - 3) - 1
    rgb = 255 * value * (1 - saturation * (1 - turns.clip(0, 1)))
    return Material(linear(rgb), roughness=0.7, seed=_seed(random))


def glass() -> Material:
    return Material((0.9, 0.94, 0.93), roughness=0.03, transmission=0.9)


def black() -> Material:
    return Material((0.012, 0.012, 0.014), roughness=0.25)


def soil() -> Material:
    return Material((0.035, 0.024, 0.016), roughness=1.0)


def lit_shade(random: np.random.Generator, radiance: float) -> Material:
    """Cloth with a lamp behind it; 0 is switched off."""
    color = varied(random, pick(random, ((238, 230, 212), (246, 242, 232), (222, 204, 176), (200, 190, 178))), 5)
    glow = tuple(round(radiance * share, 4) for share in (1.0, 0.82, 0.58))
    return Material(color, "cloth", color, scale_m=0.01, roughness=0.9, emission=(glow[0], glow[1], glow[2]))


@dataclass(frozen=True)
class Style:
    """What the things of one room have in common."""

    wood: Material
    wood_2: Material
    metal: Material
    upholstery: Material
    accent: Material
    is_lamp_on: bool = False

    @classmethod
    def drawn(cls, random: np.random.Generator) -> "Style":
        return cls(
            wood(random), wood(random), metal(random), upholstery(random), cloth(random), bool(random.random() < 0.45)
        )

    def wood_for(self, random: np.random.Generator) -> Material:
        """Mostly the room's own; each piece from another board."""
        kind = random.random()
        chosen = self.wood if kind < 0.6 else self.wood_2 if kind < 0.85 else wood(random)
        return replace(chosen, seed=_seed(random))

    def cloth_for(self, random: np.random.Generator) -> Material:
        kind = random.random()
        return self.upholstery if kind < 0.5 else self.accent if kind < 0.7 else upholstery(random)
