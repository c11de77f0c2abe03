"""Prepared documents: sanitised and laid out once, then one recipient's copy at the speed of encryption."""
