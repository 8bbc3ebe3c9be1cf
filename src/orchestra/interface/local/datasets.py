"""Carries out the requests of `interface/datasets.py`."""

from __future__ import annotations

from orchestra.domain.models.datasets import DataSet, DataSetVersion, ManifestEntry
from orchestra.interface import datasets as ask
from orchestra.interface.local import Scope
from orchestra.services import datasets
from orchestra.services.users import users


def list_data_sets(scope: Scope, asked: ask.ListDataSets) -> tuple[DataSet, ...]:
    if asked.owner is not None:
        users.get(scope.conn, asked.owner)  # else a name with a typo would have no data sets
    return tuple(datasets.list_datasets(scope.conn, asked.owner))


def get_data_set(scope: Scope, asked: ask.GetDataSet) -> DataSet:
    return datasets.find(scope.conn, asked.name)


def list_files(scope: Scope, asked: ask.ListFiles) -> tuple[ManifestEntry, ...]:
    found = datasets.find(scope.conn, asked.name)
    return tuple(datasets.files(scope.conn, found, first=asked.first, limit=asked.limit))


def list_versions(scope: Scope, asked: ask.ListVersions) -> tuple[DataSetVersion, ...]:
    return tuple(datasets.versions(scope.conn, asked.name, limit=asked.limit))
