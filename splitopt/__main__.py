"""``python -m splitopt`` is the command line."""

from splitopt.cli import main

if __name__ == "__main__":
    main()
