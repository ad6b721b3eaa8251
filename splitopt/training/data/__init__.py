"""Data to train on: known data sets from files, arrays, and how they are shared out."""

from splitopt.training.data.dataset import DataSet as DataSet
from splitopt.training.data.sources import load_data as load_data
