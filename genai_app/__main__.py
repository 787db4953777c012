"""`python -m genai_app` is `genai`."""

import sys

from genai_app.cli.main import main

sys.exit(main())
