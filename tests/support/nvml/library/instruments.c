/* How the instruments see the timeline: each over its own window, at its own times. */
#include "driver.h"

#define THROUGHPUT_MICROSECONDS 20000

unsigned int utilization_percent(const struct gpu *gpu, enum level level, int64_t at)
{
    int64_t until = reading_time(at, gpu->utilization_period);
    return (unsigned int)(100 * mean(gpu, level, until - gpu->utilization_period, until) + 0.5);
}

unsigned int power_milliwatts(const struct gpu *gpu, int64_t now)
{
    int64_t until = reading_time(now - gpu->power_lag, gpu->power_period);
    return (unsigned int)(1000 * mean(gpu, LEVEL_WATTS, until - gpu->power_window, until) + 0.5);
}

unsigned int instant_milliwatts(const struct gpu *gpu, int64_t now)
{
    int64_t until = reading_time(now, gpu->power_period);
    return (unsigned int)(1000 * mean(gpu, LEVEL_WATTS, until - gpu->instant_window, until) + 0.5);
}

unsigned long long energy_millijoules(const struct gpu *gpu, int64_t now)
{
    int64_t until = reading_time(now, gpu->energy_period);
    return (unsigned long long)(1000 * integral(gpu, LEVEL_WATTS, until));
}

double traffic_bytes(const struct gpu *gpu, enum level level, int64_t now)
{
    return integral(gpu, level, reading_time(now, gpu->traffic_period));
}

double link_bytes(const struct gpu *gpu, enum level level, unsigned int link, int64_t now)
{
    unsigned int active = 0;
    for (unsigned int other = 0; other < gpu->link_count; other++)
        active += gpu->link_active[other] != 0;
    return gpu->link_active[link] ? traffic_bytes(gpu, level, now) / active : 0;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetUtilizationRates);
    NEED(utilization != NULL);
    if (gpu->mig_current)
        return NVML_ERROR_NOT_SUPPORTED;
    int64_t now = monotonic_now();
    utilization->gpu = utilization_percent(gpu, LEVEL_BUSY, now);
    utilization->memory = utilization_percent(gpu, LEVEL_MEMORY_BUSY, now);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *power)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetPowerUsage);
    NEED(power != NULL);
    *power = power_milliwatts(gpu, monotonic_now());
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long *energy)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetTotalEnergyConsumption);
    NEED(energy != NULL);
    *energy = energy_millijoules(gpu, monotonic_now());
    return NVML_SUCCESS;
}

/* Two readings of the byte counter, 20 ms apart: the caller waits, as it does for the real one. */
nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t device, nvmlPcieUtilCounter_t counter,
                                         unsigned int *value)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetPcieThroughput);
    NEED(value != NULL && counter < NVML_PCIE_UTIL_COUNT);
    bool transmit = counter == NVML_PCIE_UTIL_TX_BYTES;
    enum level level = transmit ? LEVEL_PCIE_TRANSMIT : LEVEL_PCIE_RECEIVE;
    int64_t before = monotonic_now();
    pause_microseconds(THROUGHPUT_MICROSECONDS);
    *value = (unsigned int)(mean(gpu, level, before, monotonic_now()) / 1000);
    return NVML_SUCCESS;
}
