/* NVLink by its older calls, one link at a time. */
#include "driver.h"

nvmlReturn_t nvmlDeviceGetNvLinkState(nvmlDevice_t device, unsigned int link,
                                      nvmlEnableState_t *active)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetNvLinkState);
    NEED(link < STATE_LINKS && active != NULL);
    if (link >= gpu->link_count)
        return NVML_ERROR_NOT_SUPPORTED;
    *active = gpu->link_active[link] ? NVML_FEATURE_ENABLED : NVML_FEATURE_DISABLED;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkVersion(nvmlDevice_t device, unsigned int link,
                                        unsigned int *version)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetNvLinkVersion);
    NEED(link < STATE_LINKS && version != NULL);
    if (link >= gpu->link_count)
        return NVML_ERROR_NOT_SUPPORTED;
    *version = gpu->link_version;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNvLinkErrorCounter(nvmlDevice_t device, unsigned int link,
                                             nvmlNvLinkErrorCounter_t kind,
                                             unsigned long long *value)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetNvLinkErrorCounter);
    NEED(link < STATE_LINKS && kind < STATE_LINK_ERRORS && value != NULL);
    if (link >= gpu->link_count)
        return NVML_ERROR_NOT_SUPPORTED;
    *value = gpu->link_errors[link][kind];
    return NVML_SUCCESS;
}
