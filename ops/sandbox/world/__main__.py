"""`python -m ops.sandbox.world --config FILE`."""

import sys

from ops.sandbox.world.world import main

sys.exit(main())
