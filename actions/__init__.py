"""The built-in actions, one file each. The orchestrator finds them by name; import what you need.

`orchestrator actions` lists them with their manuals.
"""
