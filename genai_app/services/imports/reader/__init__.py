"""Reads the export files of other chats. Runs in a child process (`__main__.py`)."""
