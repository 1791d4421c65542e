"""The command line: `python -m raddle`."""

import sys

from raddle import _command

if __name__ == "__main__":
    _command.main(sys.argv[1:])
