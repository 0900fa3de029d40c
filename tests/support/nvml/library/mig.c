/* MIG: a GPU cut into instances, each a device with a handle of its own. */
#include "driver.h"

#include <string.h>

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *current, unsigned int *pending)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetMigMode);
    NEED(current != NULL && pending != NULL);
    if (gpu->mig_capacity == 0)
        return NVML_ERROR_NOT_SUPPORTED;
    *current = gpu->mig_current;
    *pending = gpu->mig_pending;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned int *count)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetMaxMigDeviceCount);
    NEED(count != NULL);
    *count = gpu->mig_capacity;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned int index,
                                                 nvmlDevice_t *instance)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetMigDeviceHandleByIndex);
    NEED(index < STATE_INSTANCES && instance != NULL);
    if (!gpu->mig_current)
        return NVML_ERROR_NOT_SUPPORTED;
    if (!gpu->instances[index].present)
        return NVML_ERROR_NOT_FOUND;
    *instance = handle_of_instance(gpu, &gpu->instances[index]);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t instance,
                                                          nvmlDevice_t *device)
{
    BEGIN_ON_ANY(instance, nvmlDeviceGetDeviceHandleFromMigDeviceHandle);
    NEED(instance->instance != NULL && device != NULL);
    *device = handle_of(instance->gpu);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned int *is_instance)
{
    BEGIN_ON_ANY(device, nvmlDeviceIsMigDeviceHandle);
    NEED(is_instance != NULL);
    *is_instance = device->instance != NULL;
    return NVML_SUCCESS;
}

/* A call that answers with one number of the instance. */
#define INSTANCE_CALL(name, number)                          \
    nvmlReturn_t name(nvmlDevice_t device, unsigned int *id) \
    {                                                        \
        BEGIN_ON_ANY(device, name);                          \
        NEED(id != NULL);                                    \
        if (device->instance == NULL)                        \
            return NVML_ERROR_NOT_SUPPORTED;                 \
        *id = device->instance->number;                      \
        return NVML_SUCCESS;                                 \
    }

INSTANCE_CALL(nvmlDeviceGetGpuInstanceId, gpu_instance)
INSTANCE_CALL(nvmlDeviceGetComputeInstanceId, compute_instance)

nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t device, nvmlDeviceAttributes_t *attributes)
{
    BEGIN_ON_ANY(device, nvmlDeviceGetAttributes_v2);
    NEED(attributes != NULL);
    const struct instance *instance = device->instance;
    if (instance == NULL)
        return NVML_ERROR_NOT_SUPPORTED;
    memset(attributes, 0, sizeof *attributes);
    attributes->multiprocessorCount = instance->multiprocessors;
    attributes->gpuInstanceSliceCount = instance->slices;
    attributes->computeInstanceSliceCount = instance->slices;
    attributes->memorySizeMB = instance->memory_total >> 20;
    return NVML_SUCCESS;
}
