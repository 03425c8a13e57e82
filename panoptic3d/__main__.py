"""`python -m panoptic3d` is the console script."""

import sys

from panoptic3d.cli import main

if __name__ == "__main__":
    sys.exit(main())
