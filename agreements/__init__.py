"""Agreements: their text, the PDF that is shown and signed, the evidence of signing, the certificate of completion.

Takes values and returns values; knows no database, no web and no other package of the house.
"""
