# SPDX-License-Identifier: Apache-2.0
"""Steps as training code marks them: datagrams to a socket become accounts of jobs."""
