"""The record of one call: events in, decisions, steps, commands out, each with its time.

A journal answers "why did this hook run, or not run", and is itself a call script: its `event`
lines can be played again. Records are tuples while a call is live (`recorder`); they become JSON
lines (`lines`) in the sink (`sinks`), off the call's path, with secrets and, under
`privacy: redact`, speech and numbers masked (`redactor`).
"""

from orchestrator.journal.lines import dump_line, encode, kind_of_line
from orchestrator.journal.recorder import Journal
from orchestrator.journal.redactor import Redactor
from orchestrator.journal.sinks import DirectorySink, NoSink, Sink, file_name

__all__ = [
    "DirectorySink",
    "Journal",
    "NoSink",
    "Redactor",
    "Sink",
    "dump_line",
    "encode",
    "file_name",
    "kind_of_line",
]
