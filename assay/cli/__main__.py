"""`python -m assay.cli`: the same as `assay`."""

import sys

from assay.cli import main

sys.exit(main())
