"""The paper's figures (learned queries; response time of online walks) and the timeline of a live room."""
