"""Asks NVIDIA's driver about the GPUs of this machine, through its management library (NVML).

A call to the driver can hang for ever, in a state in which a process cannot be killed. So another process makes them:
`helper.py`, the only module that imports NVML. `reader.py` starts it and waits for it no longer than it has to.
"""
