"""The paper's figures and the timeline of a room: what learned queries look like, what walking a graph online costs."""
