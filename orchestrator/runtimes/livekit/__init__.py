"""Calls of LiveKit Agents; nothing of LiveKit is imported before a call needs it."""

from orchestrator.runtimes.livekit.runner import LIVEKIT_CAPABILITIES, LiveKit, wrap_on_session_end

__all__ = ["LIVEKIT_CAPABILITIES", "LiveKit", "wrap_on_session_end"]
