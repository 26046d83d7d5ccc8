"""``python -m tinytrain doctor``: what is installed on this machine, and does it work?"""

from tinytrain.testing.doctor.examination import examine, report, run_doctor
from tinytrain.testing.doctor.machine import Finding

__all__ = ["Finding", "examine", "report", "run_doctor"]
