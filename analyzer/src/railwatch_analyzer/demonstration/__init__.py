# SPDX-License-Identifier: Apache-2.0
"""The parts of `railwatch-analyzer demo`: what happens, who says what, and who was right."""
