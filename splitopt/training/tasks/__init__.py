"""What a network is trained for: the loss of a batch, metrics of tests, and fitting targets."""

from splitopt.training.tasks.known import TASKS as TASKS
from splitopt.training.tasks.metrics import Metric as Metric
from splitopt.training.tasks.naming import task_of as task_of
from splitopt.training.tasks.targets import Targets as Targets
from splitopt.training.tasks.task import Task as Task
