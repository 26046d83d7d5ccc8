"""The tests of this folder share one table of samples, in modules that stand beside them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
