/* Who computes or draws on a GPU, or on one MIG device of it. */
#include "driver.h"

enum kind { KIND_NONE, KIND_COMPUTE, KIND_GRAPHICS };

static bool is_on(const struct process *process, const struct instance *instance)
{
    return instance == NULL || (process->gpu_instance == instance->gpu_instance &&
                                process->compute_instance == instance->compute_instance);
}

static nvmlReturn_t list(nvmlDevice_t device, enum kind kind, unsigned int *count,
                         nvmlProcessInfo_t *infos)
{
    NEED(count != NULL);
    unsigned int room = *count;
    *count = 0;
    for (int place = 0; place < STATE_PROCESSES; place++) {
        const struct process *process = &device->gpu->processes[place];
        if (process->kind != kind || !is_on(process, device->instance))
            continue;
        if (infos != NULL && *count < room)
            infos[*count] = (nvmlProcessInfo_t){process->pid, process->memory,
                                                process->gpu_instance, process->compute_instance};
        ++*count;
    }
    return *count > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS;
}

/* A call that lists processes of a kind; the second version's records are those of the third. */
#define LIST_CALL(name, kind)                                                             \
    nvmlReturn_t name(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos) \
    {                                                                                     \
        BEGIN_ON_ANY(device, name);                                                       \
        return list(device, kind, count, infos);                                          \
    }

LIST_CALL(nvmlDeviceGetComputeRunningProcesses_v2, KIND_COMPUTE)
LIST_CALL(nvmlDeviceGetComputeRunningProcesses_v3, KIND_COMPUTE)
LIST_CALL(nvmlDeviceGetGraphicsRunningProcesses_v2, KIND_GRAPHICS)
LIST_CALL(nvmlDeviceGetGraphicsRunningProcesses_v3, KIND_GRAPHICS)
