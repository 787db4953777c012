"""Work in the background: claimed by lease, with progress, cancel and retries."""
