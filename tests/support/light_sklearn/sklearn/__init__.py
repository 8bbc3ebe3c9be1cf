"""Stands in for scikit-learn where many processes train, each of which would import it for two seconds.

Its folder comes first on their PYTHONPATH. It has what the demo uses, on numpy alone, and really trains.
"""
