//! Snapshots as text, JSON and Prometheus, in Envoy's shapes.
