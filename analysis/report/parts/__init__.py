"""The parts of the page that need more than a template: contents, glossary, provenance, classes."""
