"""Episodes on disk: a trace, the file of traces, what may stand in it, and the task that it carries."""

from usersim_env.traces.file import TraceWriter, iter_traces, read_traces
from usersim_env.traces.trace import Provenance, Seat, Terms, Trace

__all__ = ["Provenance", "Seat", "Terms", "Trace", "TraceWriter", "iter_traces", "read_traces"]
