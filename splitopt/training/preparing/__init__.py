"""From a training job to what its rounds need: everything is checked before the first of them."""
