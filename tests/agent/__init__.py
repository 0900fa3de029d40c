"""Tests of the agent and of the package that it shares with the analyzer."""
