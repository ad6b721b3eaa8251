"""A plan as tables, for spreadsheets and data frames: one module per format of files."""
