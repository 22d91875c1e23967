"""Public formats turned into dataset folders, one module per format."""
