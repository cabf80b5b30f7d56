"""Sends an API what its own OpenAPI document allows, and what it does not, and holds the answers to the document (schemathesis)."""

import sys

from schemathesis.cli import schemathesis

if __name__ == "__main__":
    sys.exit(schemathesis())
