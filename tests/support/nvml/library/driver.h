/* What the parts of the stand-in share: the mapped state, how a call begins, the timeline. */
#pragma once
#include <stdbool.h>

#include "layout.h"
#include "nvml.h"

/* A handle: a GPU, or one MIG device of it. */
struct nvmlDevice_st {
    struct gpu *gpu;
    struct instance *instance;
};

struct state *state(void);
int64_t monotonic_now(void);
/* Microseconds since 1970 of a monotonic time: how NVML stamps values. */
long long stamp_of(int64_t time);
void pause_microseconds(uint32_t microseconds);
/* Use this much of a processor, as the driver's part of a call does. */
void work_microseconds(uint32_t microseconds);

/* How a call begins: initialised, driver there, what was ordered for this call happens. */
nvmlReturn_t begin(enum call call);
/* The same for a call on a GPU or MIG device; `reach` is the GPU's part of it. */
nvmlReturn_t begin_on(nvmlDevice_t device, enum call call);
nvmlReturn_t reach(nvmlDevice_t device, enum call call);
nvmlReturn_t begin_init(enum call call);

nvmlDevice_t handle_of(struct gpu *gpu);
nvmlDevice_t handle_of_instance(struct gpu *gpu, struct instance *instance);
nvmlReturn_t copy_text(const char *text, char *buffer, unsigned int length);

/* What a level summed up to from the timeline's origin until a time, and its mean over a span. */
double integral(const struct gpu *gpu, enum level level, int64_t time);
double mean(const struct gpu *gpu, enum level level, int64_t from, int64_t until);
/* The last time at or before this one at which an instrument of this period took a reading. */
int64_t reading_time(int64_t now, int64_t period);

unsigned int power_milliwatts(const struct gpu *gpu, int64_t now);
unsigned int instant_milliwatts(const struct gpu *gpu, int64_t now);
unsigned long long energy_millijoules(const struct gpu *gpu, int64_t now);
unsigned int utilization_percent(const struct gpu *gpu, enum level level, int64_t at);
/* Bytes since the origin, as a counter that moves in steps. */
double traffic_bytes(const struct gpu *gpu, enum level level, int64_t now);
/* The same of one NVLink: traffic is spread over those that are active. */
double link_bytes(const struct gpu *gpu, enum level level, unsigned int link, int64_t now);

unsigned long long ecc_total(const struct gpu *gpu, unsigned int type, unsigned int counter);

/* Begin a call that MIG devices do not have, and name its GPU. */
#define BEGIN_ON_GPU(device, call)                                 \
    do {                                                           \
        nvmlReturn_t refused = begin_on(device, CALL_##call);      \
        if (refused != NVML_SUCCESS)                               \
            return refused;                                        \
        if ((device)->instance != NULL)                            \
            return NVML_ERROR_NOT_SUPPORTED;                       \
    } while (0);                                                   \
    struct gpu *gpu = (device)->gpu

/* Begin a call that GPUs and MIG devices have. */
#define BEGIN_ON_ANY(device, call)                                 \
    do {                                                           \
        nvmlReturn_t refused = begin_on(device, CALL_##call);      \
        if (refused != NVML_SUCCESS)                               \
            return refused;                                        \
    } while (0)

#define BEGIN(call)                                                \
    do {                                                           \
        nvmlReturn_t refused = begin(CALL_##call);                 \
        if (refused != NVML_SUCCESS)                               \
            return refused;                                        \
    } while (0)

#define NEED(condition)                                            \
    do {                                                           \
        if (!(condition))                                          \
            return NVML_ERROR_INVALID_ARGUMENT;                    \
    } while (0)
