"""Whether a plan holds: predicted and measured timelines, task by task."""
