"""The nets behind the budgets that the kernel holds."""

import math
import resource
import time


def grant_cpu(seconds: float) -> None:
    """So much processor time from now on; beyond it comes SIGXCPU. May be granted again at any time."""
    granted = math.ceil(time.process_time() + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (granted, resource.RLIM_INFINITY))
