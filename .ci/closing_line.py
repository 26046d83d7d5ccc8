"""Add up what several runs of pytest counted, and print it as one closing line.

python .ci/closing_line.py FOLDER   with the runs' --junitxml files
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(folder: Path) -> None:
    """Print `N passed, N failed, N skipped`."""
    total = failed = skipped = 0
    for report in sorted(folder.glob("*.xml")):
        for suite in ElementTree.parse(report).iter("testsuite"):
            total += int(suite.get("tests", 0))
            failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            skipped += int(suite.get("skipped", 0))
    print(f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
