"""``python -m edge``: the one place that hands over the arguments and the environment."""

import os
import sys

from edge.cli import run


def main() -> int:
    """Run one command and return its exit code."""
    return run(sys.argv[1:], os.environ)


if __name__ == "__main__":
    sys.exit(main())
