"""Models that read whole texts: vectors, scores and labels."""
