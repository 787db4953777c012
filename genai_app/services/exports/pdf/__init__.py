"""Dialogs as PDF, in a process of its own (`__main__`): nothing here knows tables, users, the net.

The layout is ours, upon reportlab's canvas: its paragraphs take markup, fold spaces and drop what
a font lacks, and the text of a page must be the text that was written (docs/adr/0018).
"""
