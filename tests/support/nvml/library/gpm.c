/* GPM: a sample is what every level summed up to; two of them make the means between. */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

#define MEBIBYTE 1048576.0
#define NANOSECONDS 1e9

struct nvmlGpmSample_st {
    int64_t time;
    double sums[STATE_LEVELS];
    /* Share of the GPU's work that the sampled MIG instance does. */
    double activity;
    unsigned int links;
};

nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t device, nvmlGpmSupport_t *support)
{
    BEGIN_ON_ANY(device, nvmlGpmQueryDeviceSupport);
    NEED(support != NULL);
    if (support->version != NVML_GPM_SUPPORT_VERSION)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    support->isSupportedDevice = device->gpu->gpm_supported;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmSampleAlloc(nvmlGpmSample_t *sample)
{
    BEGIN(nvmlGpmSampleAlloc);
    NEED(sample != NULL);
    *sample = calloc(1, sizeof **sample);
    return *sample == NULL ? NVML_ERROR_MEMORY : NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmSampleFree(nvmlGpmSample_t sample)
{
    BEGIN(nvmlGpmSampleFree);
    NEED(sample != NULL);
    free(sample);
    return NVML_SUCCESS;
}

static void take(const struct gpu *gpu, const struct instance *instance, nvmlGpmSample_t sample)
{
    sample->time = reading_time(monotonic_now(), gpu->gpm_period);
    for (int level = 0; level < STATE_LEVELS; level++)
        sample->sums[level] = integral(gpu, (enum level)level, sample->time);
    sample->activity = instance == NULL ? 1 : instance->activity;
    sample->links = gpu->link_count;
}

nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t device, nvmlGpmSample_t sample)
{
    BEGIN_ON_ANY(device, nvmlGpmSampleGet);
    NEED(sample != NULL);
    if (!device->gpu->gpm_supported)
        return NVML_ERROR_NOT_SUPPORTED;
    take(device->gpu, device->instance, sample);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmMigSampleGet(nvmlDevice_t device, unsigned int id, nvmlGpmSample_t sample)
{
    BEGIN_ON_GPU(device, nvmlGpmMigSampleGet);
    NEED(sample != NULL);
    if (!gpu->gpm_supported || !gpu->mig_current)
        return NVML_ERROR_NOT_SUPPORTED;
    for (int place = 0; place < STATE_INSTANCES; place++) {
        const struct instance *instance = &gpu->instances[place];
        if (!instance->present || instance->gpu_instance != id)
            continue;
        take(gpu, instance, sample);
        return NVML_SUCCESS;
    }
    return NVML_ERROR_NOT_FOUND;
}

/* Mean of a level between two samples. Two of the same refresh: 0 / 0, which is no number. */
static double between(const nvmlGpmMetricsGet_t *asked, enum level level)
{
    double seconds = (double)(asked->sample2->time - asked->sample1->time) / NANOSECONDS;
    double sum = asked->sample2->sums[level] - asked->sample1->sums[level];
    return sum / seconds * asked->sample2->activity;
}

static nvmlReturn_t link_metric(const nvmlGpmMetricsGet_t *asked, unsigned int id, double *value)
{
    unsigned int number = id - NVML_GPM_METRIC_NVLINK_L0_RX_PER_SEC;
    enum level level = number % 2 ? LEVEL_NVLINK_TRANSMIT : LEVEL_NVLINK_RECEIVE;
    if (id < NVML_GPM_METRIC_NVLINK_L0_RX_PER_SEC || id > NVML_GPM_METRIC_NVLINK_L17_TX_PER_SEC ||
        number / 2 >= asked->sample2->links)
        return NVML_ERROR_NOT_SUPPORTED;
    *value = between(asked, level) / MEBIBYTE / asked->sample2->links;
    return NVML_SUCCESS;
}

static nvmlReturn_t metric(const nvmlGpmMetricsGet_t *asked, unsigned int id, double *value)
{
    switch (id) {
    case NVML_GPM_METRIC_GRAPHICS_UTIL:
        return *value = 100 * between(asked, LEVEL_BUSY), NVML_SUCCESS;
    case NVML_GPM_METRIC_SM_UTIL:
        return *value = 100 * between(asked, LEVEL_SM), NVML_SUCCESS;
    case NVML_GPM_METRIC_ANY_TENSOR_UTIL:
    case NVML_GPM_METRIC_HMMA_TENSOR_UTIL:
        return *value = 100 * between(asked, LEVEL_TENSOR), NVML_SUCCESS;
    case NVML_GPM_METRIC_DRAM_BW_UTIL:
        return *value = 100 * between(asked, LEVEL_MEMORY_BUSY), NVML_SUCCESS;
    case NVML_GPM_METRIC_PCIE_TX_PER_SEC:
        return *value = between(asked, LEVEL_PCIE_TRANSMIT) / MEBIBYTE, NVML_SUCCESS;
    case NVML_GPM_METRIC_PCIE_RX_PER_SEC:
        return *value = between(asked, LEVEL_PCIE_RECEIVE) / MEBIBYTE, NVML_SUCCESS;
    case NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC:
        return *value = between(asked, LEVEL_NVLINK_RECEIVE) / MEBIBYTE, NVML_SUCCESS;
    case NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC:
        return *value = between(asked, LEVEL_NVLINK_TRANSMIT) / MEBIBYTE, NVML_SUCCESS;
    default:
        return link_metric(asked, id, value);
    }
}

nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *asked)
{
    BEGIN(nvmlGpmMetricsGet);
    NEED(asked != NULL && asked->sample1 != NULL && asked->sample2 != NULL);
    NEED(asked->numMetrics <= NVML_GPM_METRIC_MAX);
    if (asked->version != NVML_GPM_METRICS_GET_VERSION)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    for (unsigned int place = 0; place < asked->numMetrics; place++) {
        nvmlGpmMetric_t *wanted = &asked->metrics[place];
        wanted->nvmlReturn = metric(asked, wanted->metricId, &wanted->value);
    }
    return NVML_SUCCESS;
}
