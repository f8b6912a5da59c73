"""Pauses Python's garbage collector in a worker until its first run begins (`on_this_node`).

Ray imports this module in each worker before the worker takes work. The imports of torch and Ray Tune make many objects
that all stay, and the search for garbage among them would take a sixth of a worker's start.
"""

import gc
import os

from study.cluster.reaper import MARK

# The user's own Ray may inherit the environment of this process, but not this mark.
if MARK in os.environ:
    gc.disable()
