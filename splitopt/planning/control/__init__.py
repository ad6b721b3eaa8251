"""Parts of the controller: what is measured, and what the replay of a trace reports."""
