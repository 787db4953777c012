"""Imports: dialogs from the export files of other chats."""
