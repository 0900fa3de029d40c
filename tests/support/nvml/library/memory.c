/* Memory: how much, how sound, and who uses it. */
#include "driver.h"

struct amounts {
    uint64_t total, reserved, used;
};

static struct amounts amounts_of(nvmlDevice_t device)
{
    const struct instance *instance = device->instance;
    const struct gpu *gpu = device->gpu;
    if (instance != NULL)
        return (struct amounts){instance->memory_total, 0, instance->memory_used};
    return (struct amounts){gpu->memory_total, gpu->memory_reserved, gpu->memory_used};
}

/* The first version counts what the driver keeps for itself as used. */
nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    BEGIN_ON_ANY(device, nvmlDeviceGetMemoryInfo);
    NEED(memory != NULL);
    struct amounts amounts = amounts_of(device);
    memory->total = amounts.total;
    memory->used = amounts.used + amounts.reserved;
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    BEGIN_ON_ANY(device, nvmlDeviceGetMemoryInfo_v2);
    NEED(memory != NULL);
    if (memory->version != nvmlMemory_v2)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    struct amounts amounts = amounts_of(device);
    memory->total = amounts.total;
    memory->reserved = amounts.reserved;
    memory->used = amounts.used;
    memory->free = amounts.total - amounts.used - amounts.reserved;
    return NVML_SUCCESS;
}
