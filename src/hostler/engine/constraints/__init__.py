"""What the text of an answer must be: grammars compiled for a tokenizer, and tokens held against them."""
