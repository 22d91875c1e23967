"""Questions about a catalogue's vectors: nearest items, labels that fit, copies, and pictures at odds with words."""
