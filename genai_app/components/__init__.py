"""Parts that pages are made of. They lay out Vars; they call no service and decide nothing."""
