# SPDX-License-Identifier: Apache-2.0
"""What a training step asks of the network, from a description of it or from measured bytes."""
