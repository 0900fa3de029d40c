# SPDX-License-Identifier: Apache-2.0
"""The live picture in a terminal: read from JSON, put in words, drawn as lines."""
