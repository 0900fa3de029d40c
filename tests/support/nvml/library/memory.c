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

unsigned long long ecc_total(const struct gpu *gpu, unsigned int type, unsigned int counter)
{
    unsigned long long sum = 0;
    for (unsigned int location = 0; location < STATE_LOCATIONS; location++)
        sum += gpu->ecc_errors[type][counter][location];
    return sum;
}

nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, nvmlEnableState_t *current,
                                  nvmlEnableState_t *pending)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetEccMode);
    NEED(current != NULL && pending != NULL);
    *current = *pending = (nvmlEnableState_t)gpu->ecc_mode;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t type,
                                         nvmlEccCounterType_t counter, unsigned long long *count)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetTotalEccErrors);
    NEED(type < STATE_ERROR_TYPES && counter < STATE_COUNTER_TYPES && count != NULL);
    if (!gpu->ecc_mode)
        return NVML_ERROR_NOT_SUPPORTED;
    *count = ecc_total(gpu, type, counter);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryErrorCounter(nvmlDevice_t device, nvmlMemoryErrorType_t type,
                                             nvmlEccCounterType_t counter,
                                             nvmlMemoryLocation_t location,
                                             unsigned long long *count)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetMemoryErrorCounter);
    NEED(type < STATE_ERROR_TYPES && counter < STATE_COUNTER_TYPES);
    NEED(location < STATE_LOCATIONS && count != NULL);
    if (!gpu->ecc_mode)
        return NVML_ERROR_NOT_SUPPORTED;
    *count = gpu->ecc_errors[type][counter][location];
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t device, unsigned int *correctable,
                                       unsigned int *uncorrectable, unsigned int *pending,
                                       unsigned int *failure)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetRemappedRows);
    NEED(correctable != NULL && uncorrectable != NULL && pending != NULL && failure != NULL);
    *correctable = gpu->remapped_correctable;
    *uncorrectable = gpu->remapped_uncorrectable;
    *pending = gpu->remapped_pending;
    *failure = gpu->remapped_failure;
    return NVML_SUCCESS;
}

static nvmlReturn_t retired_pages(const struct gpu *gpu, nvmlPageRetirementCause_t cause,
                                  unsigned int *count, unsigned long long *addresses)
{
    NEED(cause < STATE_ERROR_TYPES && count != NULL);
    unsigned int pages = gpu->retired_pages[cause], room = *count;
    *count = pages;
    if (pages > room)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (unsigned int page = 0; addresses != NULL && page < pages; page++)
        addresses[page] = page * 0x10000ULL;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetRetiredPages(nvmlDevice_t device, nvmlPageRetirementCause_t cause,
                                       unsigned int *count, unsigned long long *addresses)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetRetiredPages);
    return retired_pages(gpu, cause, count, addresses);
}

nvmlReturn_t nvmlDeviceGetRetiredPages_v2(nvmlDevice_t device, nvmlPageRetirementCause_t cause,
                                          unsigned int *count, unsigned long long *addresses,
                                          unsigned long long *stamps)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetRetiredPages_v2);
    nvmlReturn_t result = retired_pages(gpu, cause, count, addresses);
    for (unsigned int page = 0; result == NVML_SUCCESS && stamps && page < *count; page++)
        stamps[page] = (unsigned long long)stamp_of(0);
    return result;
}
