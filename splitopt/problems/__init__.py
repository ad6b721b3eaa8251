"""What is asked: one module or folder per problem, registered here by name."""

from __future__ import annotations

from splitopt.problems.base import Problem as Problem
from splitopt.problems.registry import PROBLEMS as PROBLEMS
from splitopt.problems.registry import load_problem as load_problem
from splitopt.problems.registry import problem_class as problem_class
from splitopt.problems.registry import problem_from_document as problem_from_document
