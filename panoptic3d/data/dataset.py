"""Samples of a split by number, whatever the layout of the root."""

from collections.abc import Callable
from dataclasses import dataclass

from torch.utils.data import Dataset

from panoptic3d.data.arrays import PathLike
from panoptic3d.data.roots import DataRoot, open_root
from panoptic3d.data.splits import Split
from panoptic3d.errors import BadFileError
from panoptic3d.structures.sample import Sample


@dataclass(frozen=True)
class FailedSample:
    """A sample that could not be read: it is counted, never dropped."""

    key: str
    error: BadFileError


class SampleDataset(Dataset[Sample]):
    """Map style. A released and a packed root give the same samples (within what packing promises)."""

    def __init__(
        self,
        root: DataRoot,
        split: Split,
        *,
        has_voxels: bool = True,
        transform: Callable[[Sample], Sample] | None = None,
    ) -> None:
        self.root, self.split = root, split
        self.has_voxels, self.transform = has_voxels, transform

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> Sample:
        """Raises `BadFileError`, which names the file."""
        sample = self.root.read(self.split.keys[index], self.has_voxels)
        return sample if self.transform is None else self.transform(sample)

    def attempt(self, index: int) -> Sample | FailedSample:
        """The same with a bad file as a value. A transform that fails is a bug and raises."""
        try:
            return self[index]
        except BadFileError as error:
            return FailedSample(self.split.keys[index], error)


def open_dataset(
    root: PathLike,
    split: str | None = None,
    *,
    has_voxels: bool = True,
    transform: Callable[[Sample], Sample] | None = None,
) -> SampleDataset:
    """The samples of a split (all that lie there without one), the layout found by looking at the root."""
    opened = open_root(root)
    return SampleDataset(opened, opened.split(split), has_voxels=has_voxels, transform=transform)
