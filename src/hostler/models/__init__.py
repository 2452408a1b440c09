"""What knows Hugging Face: where models come from and how they are loaded."""
