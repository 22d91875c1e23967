"""Runs `mmrec_serving.updates.trial_process` in a process that has imported the libraries; see `test_trial`."""

import os

from mmrec_serving.updates.trial_process import main

# As a server does, somebody holds the other end.
standard_input, held = os.pipe()
os.dup2(standard_input, 0)
main()
