"""`python -m qaip_core.command`, where the command itself is not on the path."""

import sys

from qaip_core.command import main

sys.exit(main())
