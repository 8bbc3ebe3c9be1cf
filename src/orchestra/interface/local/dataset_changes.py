"""Carries out the requests of `interface/dataset_changes.py`."""

from __future__ import annotations

from orchestra.domain.models.datasets import DataSet
from orchestra.interface import dataset_changes as ask
from orchestra.interface.answers.datasets import Removal, Update
from orchestra.interface.local import Scope
from orchestra.services import datasets


def own_data_set(scope: Scope, asked: ask.OwnDataSet) -> DataSet:
    return datasets.find_own(scope.conn, scope.caller, asked.name)


def check_new_data_set(scope: Scope, asked: ask.CheckNewDataSet) -> str:
    return datasets.check_new(scope.conn, scope.caller, asked.name)


def register_data_set(scope: Scope, asked: ask.RegisterDataSet) -> DataSet:
    return datasets.register(scope.conn, scope.caller, asked.name, asked.manifest)


def update_data_set(scope: Scope, asked: ask.UpdateDataSet) -> Update:
    return datasets.update(scope.conn, scope.caller, asked.name, asked.manifest, seen=asked.seen)


def delete_data_set(scope: Scope, asked: ask.DeleteDataSet) -> Removal:
    return datasets.remove(scope.conn, scope.caller, asked.name)
