/* The buffers of past readings that the driver keeps: power and utilisation. */
#include "driver.h"

/* What a buffer holds: how many readings, how far apart, and what one says. */
struct buffer {
    int64_t capacity, period;
    enum level level;
    double scale;
};

static bool buffer_of(const struct gpu *gpu, nvmlSamplingType_t type, struct buffer *buffer)
{
    bool busy = type == NVML_GPU_UTILIZATION_SAMPLES;
    if (type == NVML_TOTAL_POWER_SAMPLES) {
        *buffer = (struct buffer){gpu->power_samples, gpu->power_sample_period, LEVEL_WATTS, 1000};
        return true;
    }
    if (gpu->mig_current || (!busy && type != NVML_MEMORY_UTILIZATION_SAMPLES))
        return false;
    *buffer = (struct buffer){gpu->utilization_samples, gpu->utilization_period,
                              busy ? LEVEL_BUSY : LEVEL_MEMORY_BUSY, 100};
    return true;
}

/* The readings after a time stamp, oldest first, as many as fit. */
static unsigned int fill(const struct gpu *gpu, const struct buffer *buffer,
                         unsigned long long after, nvmlSample_t *samples, unsigned int room)
{
    int64_t last = reading_time(monotonic_now(), buffer->period);
    unsigned int count = 0;
    for (int64_t age = buffer->capacity - 1; age >= 0 && count < room; age--) {
        int64_t time = last - age * buffer->period;
        unsigned long long stamp = (unsigned long long)stamp_of(time);
        if (stamp <= after)
            continue;
        double value = mean(gpu, buffer->level, time - buffer->period, time) * buffer->scale;
        samples[count].timeStamp = stamp;
        samples[count++].sampleValue.uiVal = (unsigned int)(value + 0.5);
    }
    return count;
}

nvmlReturn_t nvmlDeviceGetSamples(nvmlDevice_t device, nvmlSamplingType_t type,
                                  unsigned long long after, nvmlValueType_t *value_type,
                                  unsigned int *count, nvmlSample_t *samples)
{
    struct buffer buffer;
    BEGIN_ON_GPU(device, nvmlDeviceGetSamples);
    NEED(value_type != NULL && count != NULL && (samples == NULL || *count != 0));
    if (!buffer_of(gpu, type, &buffer))
        return NVML_ERROR_NOT_SUPPORTED;
    *value_type = NVML_VALUE_TYPE_UNSIGNED_INT;
    if (samples == NULL)
        *count = (unsigned int)buffer.capacity + 1;
    else
        *count = fill(gpu, &buffer, after, samples, *count);
    return *count == 0 ? NVML_ERROR_NOT_FOUND : NVML_SUCCESS;
}
