"""What stands on the page of a plan beside its report, a section per module."""
