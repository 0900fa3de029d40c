/* Field values: those that follow from the rest of the state, and those that are stored as such. */
#include "driver.h"

#include <limits.h>

#define KIBIBYTE 1024.0

struct question {
    const struct gpu *gpu;
    unsigned int link;
    int64_t now;
};

static unsigned long long link_sum(const struct gpu *gpu, nvmlNvLinkErrorCounter_t kind)
{
    unsigned long long sum = 0;
    for (unsigned int link = 0; link < gpu->link_count; link++)
        sum += gpu->link_errors[link][kind];
    return sum;
}

/* A scope of UINT_MAX asks for all links together. */
static unsigned long long throughput(const struct question *asked, enum level level)
{
    if (asked->link == UINT_MAX)
        return (unsigned long long)(traffic_bytes(asked->gpu, level, asked->now) / KIBIBYTE);
    return (unsigned long long)(link_bytes(asked->gpu, level, asked->link, asked->now) / KIBIBYTE);
}

static bool instrument_field(const struct question *asked, unsigned int field,
                             unsigned long long *value)
{
    const struct gpu *gpu = asked->gpu;
    switch (field) {
    case NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION:
    case NVML_FI_DEV_ENERGY:
        return *value = energy_millijoules(gpu, asked->now), true;
    case NVML_FI_DEV_POWER_AVERAGE:
        return *value = power_milliwatts(gpu, asked->now), true;
    case NVML_FI_DEV_POWER_INSTANT:
        return *value = instant_milliwatts(gpu, asked->now), true;
    case NVML_FI_DEV_POWER_MAX_LIMIT:
    case NVML_FI_DEV_POWER_DEFAULT_LIMIT:
    case NVML_FI_DEV_POWER_CURRENT_LIMIT:
    case NVML_FI_DEV_POWER_REQUESTED_LIMIT:
        return *value = gpu->power_limit_milliwatts, true;
    case NVML_FI_DEV_MEMORY_TEMP:
        return *value = gpu->memory_temperature, true;
    default:
        return false;
    }
}

/* The PCIe byte counters have 32 bits and wrap many times a minute. */
static bool traffic_field(const struct question *asked, unsigned int field,
                          unsigned long long *value)
{
    const struct gpu *gpu = asked->gpu;
    switch (field) {
    case NVML_FI_DEV_PCIE_COUNT_TX_BYTES:
        return *value = (uint32_t)(uint64_t)traffic_bytes(gpu, LEVEL_PCIE_TRANSMIT, asked->now),
               true;
    case NVML_FI_DEV_PCIE_COUNT_RX_BYTES:
        return *value = (uint32_t)(uint64_t)traffic_bytes(gpu, LEVEL_PCIE_RECEIVE, asked->now),
               true;
    case NVML_FI_DEV_PCIE_REPLAY_COUNTER:
        return *value = gpu->pcie_replays, true;
    case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX:
        return *value = throughput(asked, LEVEL_NVLINK_TRANSMIT), true;
    case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX:
        return *value = throughput(asked, LEVEL_NVLINK_RECEIVE), true;
    case NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES:
        return *value = (uint64_t)link_bytes(gpu, LEVEL_NVLINK_TRANSMIT, asked->link, asked->now),
               true;
    case NVML_FI_DEV_NVLINK_COUNT_RCV_BYTES:
        return *value = (uint64_t)link_bytes(gpu, LEVEL_NVLINK_RECEIVE, asked->link, asked->now),
               true;
    default:
        return false;
    }
}

static bool link_field(const struct question *asked, unsigned int field, unsigned long long *value)
{
    const struct gpu *gpu = asked->gpu;
    const uint64_t *errors = gpu->link_errors[asked->link % STATE_LINKS];
    switch (field) {
    case NVML_FI_DEV_NVLINK_LINK_COUNT:
        return *value = gpu->link_count, true;
    case NVML_FI_DEV_NVLINK_SPEED_MBPS_COMMON:
    case NVML_FI_DEV_NVLINK_GET_SPEED:
        return *value = gpu->link_megabytes_per_second, true;
    case NVML_FI_DEV_NVLINK_GET_STATE:
        return *value = gpu->link_active[asked->link % STATE_LINKS], true;
    case NVML_FI_DEV_NVLINK_GET_VERSION:
        return *value = gpu->link_version, true;
    case NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY:
        return *value = errors[NVML_NVLINK_ERROR_DL_REPLAY], true;
    case NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY:
        return *value = errors[NVML_NVLINK_ERROR_DL_RECOVERY], true;
    case NVML_FI_DEV_NVLINK_ERROR_DL_CRC:
        return *value = errors[NVML_NVLINK_ERROR_DL_CRC_FLIT], true;
    case NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL:
        return *value = link_sum(gpu, NVML_NVLINK_ERROR_DL_CRC_FLIT), true;
    case NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL:
        return *value = link_sum(gpu, NVML_NVLINK_ERROR_DL_CRC_DATA), true;
    case NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL:
        return *value = link_sum(gpu, NVML_NVLINK_ERROR_DL_REPLAY), true;
    case NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL:
        return *value = link_sum(gpu, NVML_NVLINK_ERROR_DL_RECOVERY), true;
    case NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL:
        return *value = link_sum(gpu, NVML_NVLINK_ERROR_DL_ECC_DATA), true;
    default:
        return false;
    }
}

static bool memory_field(const struct question *asked, unsigned int field,
                         unsigned long long *value)
{
    const struct gpu *gpu = asked->gpu;
    switch (field) {
    case NVML_FI_DEV_ECC_CURRENT:
    case NVML_FI_DEV_ECC_PENDING:
        return *value = gpu->ecc_mode, true;
    case NVML_FI_DEV_ECC_SBE_VOL_TOTAL:
        return *value = ecc_total(gpu, NVML_SINGLE_BIT_ECC, NVML_VOLATILE_ECC), true;
    case NVML_FI_DEV_ECC_DBE_VOL_TOTAL:
        return *value = ecc_total(gpu, NVML_DOUBLE_BIT_ECC, NVML_VOLATILE_ECC), true;
    case NVML_FI_DEV_ECC_SBE_AGG_TOTAL:
        return *value = ecc_total(gpu, NVML_SINGLE_BIT_ECC, NVML_AGGREGATE_ECC), true;
    case NVML_FI_DEV_ECC_DBE_AGG_TOTAL:
        return *value = ecc_total(gpu, NVML_DOUBLE_BIT_ECC, NVML_AGGREGATE_ECC), true;
    case NVML_FI_DEV_RETIRED_SBE:
    case NVML_FI_DEV_RETIRED_DBE:
        return *value = gpu->retired_pages[field - NVML_FI_DEV_RETIRED_SBE], true;
    case NVML_FI_DEV_RETIRED_PENDING:
        return *value = gpu->retired_pending, true;
    case NVML_FI_DEV_REMAPPED_COR:
        return *value = gpu->remapped_correctable, true;
    case NVML_FI_DEV_REMAPPED_UNC:
        return *value = gpu->remapped_uncorrectable, true;
    case NVML_FI_DEV_REMAPPED_PENDING:
        return *value = gpu->remapped_pending, true;
    case NVML_FI_DEV_REMAPPED_FAILURE:
        return *value = gpu->remapped_failure, true;
    default:
        return false;
    }
}

static bool is_of_a_link(unsigned int field)
{
    return (field >= NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX &&
            field <= NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX) ||
           (field >= NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY &&
            field <= NVML_FI_DEV_NVLINK_GET_VERSION) ||
           (field >= NVML_FI_DEV_NVLINK_COUNT_XMIT_PACKETS &&
            field <= NVML_FI_DEV_NVLINK_COUNT_SYMBOL_BER);
}

static nvmlReturn_t answer(const struct question *asked, unsigned int field,
                           nvmlFieldValue_t *answered)
{
    const struct field *kept = &asked->gpu->fields[field];
    unsigned long long value = kept->value;
    bool all_links = asked->link == UINT_MAX && (field == NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX ||
                                                 field == NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX);
    if (kept->result != NVML_SUCCESS)
        return (nvmlReturn_t)kept->result;
    if (is_of_a_link(field) && !all_links && asked->link >= asked->gpu->link_count)
        return NVML_ERROR_INVALID_ARGUMENT;
    (void)(instrument_field(asked, field, &value) || traffic_field(asked, field, &value) ||
           link_field(asked, field, &value) || memory_field(asked, field, &value));
    answered->valueType = (nvmlValueType_t)kept->type;
    answered->value.ullVal = value;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t *values)
{
    BEGIN_ON_GPU(device, nvmlDeviceGetFieldValues);
    NEED(values != NULL && count > 0);
    struct question asked = {gpu, 0, monotonic_now()};
    for (nvmlFieldValue_t *value = values; value < values + count; value++) {
        asked.link = value->scopeId;
        value->timestamp = stamp_of(asked.now);
        value->nvmlReturn = NVML_ERROR_INVALID_ARGUMENT;
        if (value->fieldId >= STATE_FIELDS)
            continue;
        work_microseconds(gpu->fields[value->fieldId].work_microseconds);
        value->nvmlReturn = answer(&asked, value->fieldId, value);
        value->latencyUsec = (monotonic_now() - asked.now) / 1000;
    }
    return NVML_SUCCESS;
}
