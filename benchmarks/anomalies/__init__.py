"""Simulated spend and senders, judged by the marts of anomalies."""
