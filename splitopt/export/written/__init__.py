"""Code that exports are made of: it is copied as it stands and needs nothing but PyTorch."""
