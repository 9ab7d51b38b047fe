"""From tiles to detections and from detections to measured sources. Knows no database and no queue."""
