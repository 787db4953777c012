"""Dialogs as PDF, drawn by an own process (`__main__`) that knows no tables, users or network.

The layout is our own, on reportlab's canvas: reportlab's paragraphs interpret markup, fold spaces
and drop characters that a font lacks. Here the text of a page is the text of the dialog
(docs/adr/0018).
"""
