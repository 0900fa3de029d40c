/* The driver as a whole: versions, errors in words, which GPUs there are and how to find them. */
#include "driver.h"

#include <stdio.h>
#include <string.h>

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned int length)
{
    BEGIN(nvmlSystemGetDriverVersion);
    return copy_text(state()->kernel_version, version, length);
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned int length)
{
    BEGIN(nvmlSystemGetNVMLVersion);
    return copy_text(state()->nvml_version, version, length);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *version)
{
    BEGIN(nvmlSystemGetCudaDriverVersion);
    NEED(version != NULL);
    *version = state()->cuda_version;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    BEGIN(nvmlSystemGetCudaDriverVersion_v2);
    NEED(version != NULL);
    *version = state()->cuda_version;
    return NVML_SUCCESS;
}

static const char *const words[] = {
    [NVML_SUCCESS] = "Success",
    [NVML_ERROR_UNINITIALIZED] = "Uninitialized",
    [NVML_ERROR_INVALID_ARGUMENT] = "Invalid Argument",
    [NVML_ERROR_NOT_SUPPORTED] = "Not Supported",
    [NVML_ERROR_NO_PERMISSION] = "Insufficient Permissions",
    [NVML_ERROR_NOT_FOUND] = "Not Found",
    [NVML_ERROR_INSUFFICIENT_SIZE] = "Insufficient Size",
    [NVML_ERROR_DRIVER_NOT_LOADED] = "Driver Not Loaded",
    [NVML_ERROR_TIMEOUT] = "Timeout",
    [NVML_ERROR_FUNCTION_NOT_FOUND] = "Function Not Found",
    [NVML_ERROR_GPU_IS_LOST] = "GPU is lost",
    [NVML_ERROR_RESET_REQUIRED] = "GPU requires reset",
    [NVML_ERROR_LIB_RM_VERSION_MISMATCH] = "Driver/library version mismatch",
    [NVML_ERROR_ARGUMENT_VERSION_MISMATCH] = "Argument version mismatch",
};

const char *nvmlErrorString(nvmlReturn_t result)
{
    if ((size_t)result < sizeof words / sizeof *words && words[result] != NULL)
        return words[result];
    return "Unknown Error";
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count)
{
    BEGIN(nvmlDeviceGetCount_v2);
    NEED(count != NULL);
    *count = 0;
    for (unsigned int number = 0; number < state()->gpu_count; number++)
        *count += state()->gpus[number].present != 0;
    return NVML_SUCCESS;
}

/* The GPU that the caller means by its index: those off the bus are not counted. */
static struct gpu *gpu_at(unsigned int index)
{
    for (unsigned int number = 0; number < state()->gpu_count; number++)
        if (state()->gpus[number].present && index-- == 0)
            return &state()->gpus[number];
    return NULL;
}

static nvmlReturn_t hand_out(nvmlDevice_t found, enum call call, nvmlDevice_t *device)
{
    nvmlReturn_t result = reach(found, call);
    if (result == NVML_SUCCESS)
        *device = found;
    return result;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device)
{
    BEGIN(nvmlDeviceGetHandleByIndex_v2);
    struct gpu *gpu = gpu_at(index);
    NEED(device != NULL && gpu != NULL);
    return hand_out(handle_of(gpu), CALL_nvmlDeviceGetHandleByIndex_v2, device);
}

/* A GPU by this UUID, or a MIG device of it. */
static nvmlDevice_t named(struct gpu *gpu, const char *uuid)
{
    if (strcmp(gpu->uuid, uuid) == 0)
        return handle_of(gpu);
    for (int place = 0; place < STATE_INSTANCES; place++)
        if (gpu->instances[place].present && strcmp(gpu->instances[place].uuid, uuid) == 0)
            return handle_of_instance(gpu, &gpu->instances[place]);
    return NULL;
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
    struct gpu *gpu;
    BEGIN(nvmlDeviceGetHandleByUUID);
    NEED(uuid != NULL && device != NULL);
    for (unsigned int index = 0; (gpu = gpu_at(index)) != NULL; index++)
        if (named(gpu, uuid) != NULL)
            return hand_out(named(gpu, uuid), CALL_nvmlDeviceGetHandleByUUID, device);
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *address, nvmlDevice_t *device)
{
    struct gpu *gpu;
    unsigned int domain, bus, slot;
    BEGIN(nvmlDeviceGetHandleByPciBusId_v2);
    NEED(address != NULL && device != NULL);
    NEED(sscanf(address, "%x:%x:%x", &domain, &bus, &slot) == 3);
    for (unsigned int index = 0; (gpu = gpu_at(index)) != NULL; index++)
        if (gpu->pci_domain == domain && gpu->pci_bus == bus && gpu->pci_device == slot)
            return hand_out(handle_of(gpu), CALL_nvmlDeviceGetHandleByPciBusId_v2, device);
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned int *index)
{
    struct gpu *gpu;
    BEGIN_ON_ANY(device, nvmlDeviceGetIndex);
    NEED(index != NULL);
    if (device->instance != NULL) {
        *index = (unsigned int)(device->instance - device->gpu->instances);
        return NVML_SUCCESS;
    }
    for (*index = 0; (gpu = gpu_at(*index)) != NULL; (*index)++)
        if (gpu == device->gpu)
            return NVML_SUCCESS;
    return NVML_ERROR_NOT_FOUND;
}
