"""Prepares container images: fetches, converts and tries each one once per node, and limits the space that they take.

The cache folder holds, for each image that Apptainer has fetched, `KEY.sif`, `KEY.json` (its record) and `KEY.lock`; if
the account cannot mount SIF files, also each image unpacked, as `KEY.sandbox` instead of `KEY.sif`. A process that
fetches an image holds its lock exclusively; one that runs jobs of it holds it shared, so that it is not evicted. A
folder `KEY.<random>.part` is work in progress. Several pilots, also of several machines, may use the same folder.
"""
