//! What runs on a machine: facts, activation, probes, logs; JSON lines on stdio, no open port.
