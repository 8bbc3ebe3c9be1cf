"""A folder for PYTHONPATH, with a package that stands in for scikit-learn."""
