"""The exchange of histograms and generators with a process for each device."""
