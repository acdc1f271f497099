"""Where the lines of a turned or crooked picture would stand if it were upright and straight."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

Point = tuple[float, float]
Box = tuple[float, float, float, float]
# A line this many times as high as wide runs down or up the picture.
TALL = 1.5
# Lines shorter than this many times their height say little about the slope.
LONG_LINE = 5.0


@dataclass(frozen=True)
class Quad:
    """A line's four corners, clockwise from its top left as the picture lies; `x` to the right, `y` down."""

    corners: tuple[Point, ...]

    @property
    def width(self) -> float:
        one, two, three, four = self.corners
        return max(math.dist(one, two), math.dist(three, four))

    @property
    def height(self) -> float:
        one, two, three, four = self.corners
        return max(math.dist(one, four), math.dist(two, three))

    @property
    def tall(self) -> bool:
        return int(self.height) >= TALL * int(self.width)

    @property
    def steep(self) -> bool:
        """Whether the line runs rather up or down than across. Of a crooked one the corners alone do not say it."""
        one, two, _, four = self.corners
        x, y = two if self.width >= self.height else four
        return abs(y - one[1]) > abs(x - one[0])

    @property
    def length(self) -> float:
        return max(self.width, self.height)

    @property
    def middle(self) -> Point:
        return (sum(x for x, _ in self.corners) / 4, sum(y for _, y in self.corners) / 4)

    @property
    def box(self) -> Box:
        xs, ys = zip(*self.corners, strict=True)
        return (min(xs), min(ys), max(xs), max(ys))


def sideways(quads: Sequence[Quad]) -> bool:
    """Whether most of the text runs down or up."""
    return sum(quad.length for quad in quads if quad.steep) > 0.5 * sum(quad.length for quad in quads)


def upright_boxes(quads: Sequence[Quad], upside_down: bool) -> list[Box]:
    """On a plane of its own: only their order and distances mean something."""
    angle = -_slope(quads) + (math.pi if upside_down else 0.0)
    boxes = []
    for quad in quads:
        x, y = _rotated(quad.middle, angle)
        boxes.append((x - quad.width / 2, y - quad.height / 2, x + quad.width / 2, y + quad.height / 2))
    return boxes


def before_left_turn(box: Box, width: float) -> Box:
    """Where a box stood before its picture, `width` wide then, was turned to the left by a quarter."""
    left, top, right, bottom = box
    return (width - bottom, left, width - top, right)


def _slope(quads: Sequence[Quad]) -> float:
    """The angle of the text against the horizontal, in radians, as most long lines have it."""
    angles = []
    for quad in quads:
        if quad.width >= LONG_LINE * quad.height:
            (x1, y1), (x2, y2) = quad.corners[:2]
            angles.append(math.atan2(y2 - y1, x2 - x1))
    return median(angles) if angles else 0.0


def _rotated(point: Point, angle: float) -> Point:
    x, y = point
    return (x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle))
