"""What all pages share: who may open them, layouts, words, headers, refusals."""
