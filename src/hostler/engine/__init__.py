"""One loaded model: requests in, tokens out."""
