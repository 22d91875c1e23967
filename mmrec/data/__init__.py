"""Dataset folders: reading, checking, splitting, and importing the public formats into them."""
