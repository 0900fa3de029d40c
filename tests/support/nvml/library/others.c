/* What other exporters ask besides, answered as a GPU without displays, fans and video work does:
   only so may their cost be compared on the stand-in. */
#include "driver.h"

#define VIDEO_PERIOD_MICROSECONDS 167000

/* A call whose answer is always the same. */
#define CONSTANT_CALL(name, type, constant)             \
    nvmlReturn_t name(nvmlDevice_t device, type *value) \
    {                                                   \
        BEGIN_ON_GPU(device, name);                     \
        NEED(value != NULL);                            \
        *value = (constant);                            \
        (void)gpu;                                      \
        return NVML_SUCCESS;                            \
    }

CONSTANT_CALL(nvmlDeviceGetBrand, nvmlBrandType_t, NVML_BRAND_NVIDIA)
CONSTANT_CALL(nvmlDeviceGetComputeMode, nvmlComputeMode_t, NVML_COMPUTEMODE_DEFAULT)
CONSTANT_CALL(nvmlDeviceGetDisplayMode, nvmlEnableState_t, NVML_FEATURE_DISABLED)
CONSTANT_CALL(nvmlDeviceGetDisplayActive, nvmlEnableState_t, NVML_FEATURE_DISABLED)

nvmlReturn_t nvmlDeviceGetFanSpeed(nvmlDevice_t device, unsigned int *speed)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetFanSpeed);
    (void)gpu;
    (void)speed;
    return NVML_ERROR_NOT_SUPPORTED;
}

static nvmlReturn_t no_video_work(unsigned int *utilization, unsigned int *period)
{
    NEED(utilization != NULL && period != NULL);
    *utilization = 0;
    *period = VIDEO_PERIOD_MICROSECONDS;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetEncoderUtilization(nvmlDevice_t device, unsigned int *utilization,
                                             unsigned int *period)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetEncoderUtilization);
    return gpu->mig_current ? NVML_ERROR_NOT_SUPPORTED : no_video_work(utilization, period);
}

nvmlReturn_t nvmlDeviceGetDecoderUtilization(nvmlDevice_t device, unsigned int *utilization,
                                             unsigned int *period)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetDecoderUtilization);
    return gpu->mig_current ? NVML_ERROR_NOT_SUPPORTED : no_video_work(utilization, period);
}

/* All of the memory is visible on the bus, and a megabyte of it used. */
nvmlReturn_t nvmlDeviceGetBAR1MemoryInfo(nvmlDevice_t device, nvmlBAR1Memory_t *memory)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetBAR1MemoryInfo);
    NEED(memory != NULL);
    memory->bar1Total = gpu->memory_total;
    memory->bar1Used = 1 << 20;
    memory->bar1Free = memory->bar1Total - memory->bar1Used;
    return NVML_SUCCESS;
}

/* Each compute process is as busy as its GPU; older than the last whole period is not told. */
nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t device,
                                             nvmlProcessUtilizationSample_t *samples,
                                             unsigned int *count, unsigned long long after)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetProcessUtilization);
    NEED(count != NULL);
    int64_t now = monotonic_now();
    unsigned long long stamp =
        (unsigned long long)stamp_of(reading_time(now, gpu->utilization_period));
    unsigned int found = 0, room = *count;
    *count = STATE_PROCESSES;
    if (gpu->mig_current)
        return NVML_ERROR_NOT_SUPPORTED;
    if (samples == NULL)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    for (int place = 0; place < STATE_PROCESSES && found < room && stamp > after; place++)
        if (gpu->processes[place].kind != 0)
            samples[found++] = (nvmlProcessUtilizationSample_t){
                .pid = gpu->processes[place].pid,
                .timeStamp = stamp,
                .smUtil = utilization_percent(gpu, LEVEL_BUSY, now),
                .memUtil = utilization_percent(gpu, LEVEL_MEMORY_BUSY, now),
            };
    *count = found;
    return found == 0 ? NVML_ERROR_NOT_FOUND : NVML_SUCCESS;
}
