"""Standard input is a JSON list of files, standard output one of what python-dotenv makes of each."""
import json
import logging
import os
import sys
import tempfile

from dotenv import dotenv_values

logging.disable(logging.CRITICAL)
os.environ.clear()


def read(text):
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="", suffix=".env") as file:
        file.write(text)
        file.flush()
        return {name: value for name, value in dotenv_values(file.name).items() if value is not None}


json.dump([read(text) for text in json.load(sys.stdin)], sys.stdout)
