"""The language the processes share: units, messages, sockets, journals and shared memory."""

from ipc.kernel_cache import use_kernel_cache

use_kernel_cache()
