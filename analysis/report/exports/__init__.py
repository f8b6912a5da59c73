"""The files of a report that papers and other programs use: tables, methods and references."""
