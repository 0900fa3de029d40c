/* Events, Xid errors above all: a set hears what happens after it was registered. */
#include "driver.h"

#include <stdlib.h>
#include <string.h>

#define WAIT_POLL_MICROSECONDS 5000

struct nvmlEventSet_st {
    uint64_t wanted[STATE_GPUS];
    uint64_t seen;
};

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set)
{
    BEGIN(nvmlEventSetCreate);
    NEED(set != NULL);
    *set = calloc(1, sizeof **set);
    if (*set == NULL)
        return NVML_ERROR_MEMORY;
    (*set)->seen = state()->events_written;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set)
{
    BEGIN(nvmlEventSetFree);
    free(set);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types,
                                      nvmlEventSet_t set)
{
    BEGIN_ON_GPU(device, nvmlDeviceRegisterEvents);
    NEED(set != NULL);
    if (types & ~gpu->event_types)
        return NVML_ERROR_NOT_SUPPORTED;
    set->wanted[gpu - state()->gpus] |= types;
    return NVML_SUCCESS;
}

/* The next event that the set wants and has not seen; the oldest are lost when too many came. */
static const struct event *next_event(nvmlEventSet_t set)
{
    uint64_t written = __atomic_load_n(&state()->events_written, __ATOMIC_ACQUIRE);
    if (written > set->seen + STATE_EVENTS)
        set->seen = written - STATE_EVENTS;
    while (set->seen < written) {
        const struct event *event = &state()->events[set->seen++ % STATE_EVENTS];
        if (set->wanted[event->gpu % STATE_GPUS] & event->type)
            return event;
    }
    return NULL;
}

static bool lost_one(nvmlEventSet_t set)
{
    for (int number = 0; number < STATE_GPUS; number++) {
        const struct gpu *gpu = &state()->gpus[number];
        if (set->wanted[number] && (!gpu->present || gpu->status == NVML_ERROR_GPU_IS_LOST))
            return true;
    }
    return false;
}

static void deliver(const struct event *event, nvmlEventData_t *data)
{
    memset(data, 0, sizeof *data);
    data->device = handle_of(&state()->gpus[event->gpu % STATE_GPUS]);
    data->eventType = event->type;
    data->eventData = event->data;
    data->gpuInstanceId = event->gpu_instance;
    data->computeInstanceId = event->compute_instance;
}

nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data,
                                 unsigned int milliseconds)
{
    BEGIN(nvmlEventSetWait_v2);
    NEED(set != NULL && data != NULL);
    int64_t deadline = monotonic_now() + milliseconds * 1000000LL;
    for (;;) {
        const struct event *event = next_event(set);
        if (event != NULL) {
            deliver(event, data);
            return NVML_SUCCESS;
        }
        if (lost_one(set))
            return NVML_ERROR_GPU_IS_LOST;
        if (monotonic_now() >= deadline)
            return NVML_ERROR_TIMEOUT;
        pause_microseconds(WAIT_POLL_MICROSECONDS);
    }
}
