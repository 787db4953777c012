"""`python -m genai_app` is `genai`."""

import sys

from genai_app.cli import main

sys.exit(main())
